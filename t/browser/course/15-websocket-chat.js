// Two people in the chat room.
"use strict";

const { run, is } = require("../browser");

const MARKUP = "<img src=x onerror=\"document.title = 'taken'\">";

async function say(page, text) {
    await page.locator("#text").fill(text);
    await page.getByRole("button", { name: "OK" }).click();
}

const hears = (page, text) => page.locator("#talk div", { hasText: text }).first().waitFor();

run("/", async (sari, browser) => {
    const joko = await browser.newPage({ baseURL: sari.url() });
    await joko.goto("/");
    await hears(sari, "somebody came");
    await sari.locator("#name").fill("Sari");
    await sari.locator("#text").focus(); // the name is complete: she comes again with it
    await hears(joko, "Sari came");

    await say(sari, "Selamat pagi ☾");
    await hears(joko, "Sari: Selamat pagi ☾");
    await hears(sari, "Sari: Selamat pagi ☾");
    is(await sari.locator("#text").inputValue(), "", "what was sent is gone from the form");

    await say(joko, MARKUP);
    await hears(sari, `somebody: ${MARKUP}`);
    is(await sari.locator("#talk img").count(), 0, "markup stays text");
    is(await sari.title(), "Chat", "… and nothing ran");

    await joko.close();
    await hears(sari, "somebody went");
    is((await sari.locator("#talk .note").last().innerText()).replace(/\d+,/, "N,"),
        "somebody went (worker N, 1 here)", "one is left");
});
