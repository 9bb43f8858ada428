// Somebody uploads a picture and a text, then something that is too large, then a program.
"use strict";

const { run, is, like } = require("../browser");

const file = (name, buffer) => ({ name, mimeType: "application/octet-stream", buffer });
const PICTURE = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(300000, 7)]);

async function upload(page, ...files) {
    const before = await page.locator("#list li").count();
    await page.locator("input[type=file]").setInputFiles(files);
    await page.getByRole("button", { name: "Kirim" }).click();
    await page.locator("#list li").nth(before + files.length - 1).waitFor();
    return (await page.locator("#list li").allInnerTexts()).slice(before);
}

run("/", async (page) => {
    is(await upload(page, file("moon.png", PICTURE), file("<b>.txt", Buffer.from("Halo"))),
        ["moon.png (png, 300008 bytes)", "_b_.txt (txt, 4 bytes)"], "two files, with clean names");

    const coming = page.waitForEvent("download");
    await page.getByRole("link", { name: "moon.png" }).click();
    const download = await coming;
    like(download.suggestedFilename(), /-moon\.png$/, "its name");
    const parts = [];
    for await (const part of await download.createReadStream()) parts.push(part);
    is(Buffer.concat(parts).equals(PICTURE), true, "a picture comes back as a download");

    is(await upload(page, file("large.txt", Buffer.alloc(6000000, 97))),
        ["413: large.txt: larger than 5 MB"], "what is too large");
    is(await upload(page, file("a.exe", Buffer.from("MZ\0\0"))),
        ["415: a.exe: only PNG, JPEG, PDF and text"], "what is not wanted");

    // Chromium tells of these two on its console.
    page.errors = page.errors.filter((text) => !/41[35]/.test(text));
});
