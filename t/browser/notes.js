// A user of examples/notes: registers, keeps notes, leaves, mistypes the password, comes back.
"use strict";

const { run, is, ok, like } = require("./browser");

const NAME = "dewi";
const PASSWORD = "correct horse";
const SCRIPT = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">";

async function logIn(page, password, button) {
    await page.getByLabel("Name").fill(NAME);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: button }).click();
}

const titles = (page) => page.locator("#notes h2").allTextContents();
const item = (page, title) => page.locator("#notes li", { hasText: title });

async function add(page, title, text) {
    await page.getByLabel("Title").fill(title);
    await page.getByLabel("Text").fill(text);
    await page.getByRole("button", { name: "Add" }).click();
    await item(page, title).waitFor();
}

async function keepsNotes(page) {
    await add(page, "Shopping", "coffee\nsugar");
    await add(page, "Tides", "high at six");
    is(await titles(page), ["Tides", "Shopping"], "two notes, the newest first");
    is(await page.getByLabel("Title").inputValue(), "", "the form is empty again");

    await item(page, "Shopping").getByRole("button", { name: "Edit" }).click();
    const form = page.locator("#notes form");
    is(await form.getByLabel("Text").inputValue(), "coffee\nsugar", "a form with the note");
    await form.getByLabel("Text").fill("tea\nno sugar");
    await form.getByRole("button", { name: "Save" }).click();
    await item(page, "Shopping").getByText("no sugar").waitFor();
    is(await form.count(), 0, "changed, and the form is gone");

    await item(page, "Tides").getByRole("button", { name: "Delete" }).click();
    await item(page, "Tides").waitFor({ state: "detached" });
    await page.reload();
    is(await titles(page), ["Shopping"], "deleted; the server has it so, too");
    is(await page.locator("#notes .text").innerText(), "tea\nno sugar", "… with the lines as they were written");
}

// Once put there by the script, once by the template.
async function showsText(page) {
    await add(page, "Evil", SCRIPT);
    for (const by of ["the script", "the template"]) {
        is(await item(page, "Evil").locator(".text").innerText(), SCRIPT, `${by} shows markup as text`);
        is(await page.locator("#notes script, #notes img").count(), 0, "… and makes no elements of it");
        is(await page.title(), "Notes", "… and nothing ran");
        await page.reload();
    }
}

async function leaves(page) {
    const cookies = await page.context().cookies();
    is(cookies.map((c) => [c.name, c.httpOnly, c.sameSite]), [["notes_session", true, "Lax"]], "the cookie");
    is(await page.evaluate(() => document.cookie), "", "… which no script sees");
    await page.getByRole("button", { name: "Log out" }).click();
    await page.waitForURL("**/login");
    is(await page.context().cookies(), [], "is gone behind the logout");
    await page.goto("/");
    like(page.url(), /\/login$/, "the notes are behind the login");
}

async function mistypes(page) {
    await logIn(page, "wrong horse", "Log in");
    await page.getByRole("alert").getByText("wrong name or password").waitFor();
    like(page.url(), /\/login$/, "a wrong password is told, on the same page");
    ok(page.errors.length === 1 && page.errors[0].includes("401"), "… and is a 401", page.errors.join("\n"));
    page.errors.length = 0;
}

run("/", async (page) => {
    like(page.url(), /\/login$/, "one has to log in");
    await logIn(page, PASSWORD, "Register");
    await page.waitForURL("**/");
    is(await page.getByRole("heading", { level: 1 }).innerText(), `Notes of ${NAME}`, "registered, and logged in");
    await keepsNotes(page);
    await showsText(page);
    await leaves(page);
    await mistypes(page);
    await logIn(page, PASSWORD, "Log in");
    await page.waitForURL("**/");
    is(await titles(page), ["Evil", "Shopping"], "logged in again, the notes are there");
});
