// The form of upload.html, filled in and sent; the server tells what it got.
"use strict";

const { createHash, randomBytes } = require("node:crypto");
const { run, is } = require("./browser");

const md5 = (data) => createHash("md5").update(data).digest("hex");
const large = randomBytes(3 << 20);
const TEXT = "first line\r\n--------\r\nlast line"; // a form's lines end with CR LF

const file = (name, type, buffer) => ({ name, mimeType: type, buffer });

run("/upload.html", async (page) => {
    await page.locator("[name=title]").fill("Moon ☾ \"full\"");
    await page.locator("[name=text]").fill(TEXT);
    await page.locator("[name=files]").setInputFiles([
        file("bulan.bin", "application/octet-stream", large),
        file("catatan \"purnama\" ☾.txt", "text/plain", Buffer.from("bright")),
        file("empty.txt", "text/plain", Buffer.alloc(0)),
    ]);
    await page.getByRole("button", { name: "Send" }).click();
    await page.waitForURL("**/upload");
    const parts = JSON.parse(await page.locator("body").innerText());
    is(parts.map((p) => p.name), ["title", "text", "files", "files", "files"], "the fields, in their order");
    is(parts.map((p) => p.md5), [md5("Moon ☾ \"full\""), md5(TEXT), md5(large), md5("bright"), md5("")], "… and all their bytes");
    is(parts.map((p) => p.type), [undefined, undefined, "application/octet-stream", "text/plain", "text/plain"], "types");
    is(parts[2].size, large.length, "the size of the large one");
    is(parts.slice(2).map((p) => p.filename), ["bulan.bin", "catatan _purnama_ ☾.txt", "empty.txt"], "harmless names");
    is(parts[3].given, "catatan \"purnama\" ☾.txt", "the name as it was given");

    await page.goto("/upload.html");
    is(await page.evaluate(async () => {
        const form = new FormData();
        form.append("note", new Blob(["by fetch"], { type: "text/x-note" }), "note");
        const answer = await fetch("/upload", { method: "POST", body: form });
        return (await answer.json()).map((p) => [p.name, p.filename, p.type, p.size]);
    }), [["note", "note", "text/x-note", 8]], "FormData, sent by a script");
});
