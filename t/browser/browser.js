// What the scripts share: a page of Chromium, and tests that are told to Bulan::Test::Browser, which
// has started us, a line each.
//
//     run("/chat.html", async (page) => {
//         is(await page.title(), "Chat", "the title");
//     });
//
// A page that throws an error, or that logs one, has failed. Everything waits for what is meant, up
// to BROWSER_PATIENCE seconds; the whole script may take four times as long.
"use strict";

const { chromium } = require("playwright-core");
const { isDeepStrictEqual, inspect } = require("node:util");

const address = process.env.BROWSER_ADDRESS;
const patience = 1000 * process.env.BROWSER_PATIENCE;

function ok(value, name, why) {
    console.log(`${value ? "ok" : "not ok"} - ${name}`);
    if (!value && why) console.log(why);
    return value;
}

function is(got, expected, name) {
    return ok(isDeepStrictEqual(got, expected), name, `got ${inspect(got)}, expected ${inspect(expected)}`);
}

function like(got, pattern, name) {
    return ok(pattern.test(got), name, `got ${inspect(got)}, expected ${pattern}`);
}

async function run(path, test) {
    const browser = await chromium.launch({
        executablePath: process.env.BROWSER_PROGRAM,
        // Chromium's sandbox and root do not go together; all the pages are ours.
        args: process.getuid() === 0 ? ["--no-sandbox"] : [],
    });
    const late = setTimeout(() => browser.close(), 4 * patience); // whatever waits fails then
    try {
        const page = await browser.newPage({ baseURL: address });
        page.setDefaultTimeout(patience);
        page.errors = [];
        page.on("pageerror", (error) => page.errors.push(String(error)));
        page.on("console", (message) => message.type() === "error" && page.errors.push(message.text()));
        await page.goto(path);
        await test(page, browser);
        is(page.errors, [], "the page saw no errors");
    } catch (error) {
        ok(false, "the script runs", String(error.stack));
    } finally {
        clearTimeout(late);
        await browser.close();
    }
}

exports.run = run;
exports.ok = ok;
exports.is = is;
exports.like = like;
