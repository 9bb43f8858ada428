// Conversations with /talk of websocket.t.
"use strict";

const { run, is, ok, like } = require("./browser");

// A megabyte of one letter, there and back; the agreed extensions and whether it came back whole.
const megabyte = (page, name) => page.evaluate(async (name) => {
    const t = talk(`/talk?name=${name}`);
    await t.opened;
    const text = "a".repeat(1 << 20);
    t.send(text);
    const whole = await t.next() === text;
    t.socket.close(1000);
    return [t.socket.extensions, whole, await t.closed];
}, name);

// The same 8,000 bytes of noise ten times, there and back; the agreed extensions.
const noise = (page, name) => page.evaluate(async (name) => {
    const t = talk(`/talk?name=${name}`);
    await t.opened;
    const bytes = randomBytes(8000);
    let whole = 0;
    for (let i = 0; i < 10; i++) {
        t.send(bytes);
        whole += same(new Uint8Array(await t.next()), bytes);
    }
    t.socket.close(1000);
    await t.closed;
    return [t.socket.extensions, whole];
}, name);

async function compression(page) {
    const [extensions, whole, end] = await megabyte(page, "deflate");
    like(extensions, /^permessage-deflate(;|$)/, "Chromium and the server agree on permessage-deflate");
    ok(whole, "a compressed megabyte comes back");
    is(end, [1000, "", true], "the end is clean");
    is(await megabyte(page, "plain"), ["", true, [1000, "", true]], "without compression as well");

    is((await noise(page, "repeated"))[1], 10, "noise comes back");
    is(await noise(page, "takeover"), ["permessage-deflate", 10], "… and with context takeover");
    const [window, times] = await noise(page, "window");
    like(window, /server_max_window_bits=10/, "a smaller window is agreed upon");
    is(times, 10, "… and enough");
}

async function messages(page) {
    is(await page.evaluate(async () => {
        const t = talk("/talk?name=text");
        await t.opened;
        const texts = ["", "hello", "bulan ☾ 月", "x".repeat(125), "y".repeat(126), "z".repeat(65536)];
        texts.forEach(t.send);
        const back = [];
        for (const text of texts) back.push(await t.next() === text);
        t.socket.close(1000);
        return back;
    }), [true, true, true, true, true, true], "texts of every length come back, in their order");

    is(await page.evaluate(async () => {
        const t = talk("/talk?name=binary");
        await t.opened;
        const back = [];
        for (const length of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {
            const bytes = randomBytes(length);
            t.send(bytes);
            back.push(same(new Uint8Array(await t.next()), bytes));
        }
        t.socket.close(1000);
        return back;
    }), [true, true, true, true, true, true, true], "bytes come back, as bytes");
}

async function control(page) {
    is(await page.evaluate(async () => {
        const t = talk("/talk?name=control");
        await t.opened;
        t.send("fragments");
        const got = [await t.next(), await t.next()];
        t.send("ping");
        got.push(await t.next());
        t.socket.close(1000);
        return got.sort();
    }), ["one, ".repeat(1000) + "two, three", "pong: are you there?", "pong: between"],
    "fragments are one message, a ping between them is answered, and so is any");
}

const closed = (page, name, how) => page.evaluate(async ([name, how]) => {
    const t = talk(`/talk?name=${name}`);
    await t.opened;
    how === "bye" ? t.send("bye") : t.socket.close(...how);
    return t.closed;
}, [name, how]);

run("/websocket.html", async (page) => {
    await compression(page);
    await messages(page);
    await control(page);
    is(await closed(page, "server", "bye"), [4000, "that was all", true], "the server closes, with a code and a reason");
    is(await closed(page, "code", [3001, "I have to go"]), [3001, "I have to go", true], "the page does");
    is(await closed(page, "none", []), [1005, "", true], "… and without a code");
    is(await page.evaluate(async () => {
        const t = talk("/talk?name=protocol", ["chat", "other"]);
        await t.opened;
        t.socket.close(1000);
        return t.socket.protocol;
    }), "chat", "the first subprotocol is agreed upon");
});
