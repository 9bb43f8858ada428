// A guest of the food stall: mistypes a price, adds a dish, goes back.
"use strict";

const { run, is, ok } = require("../browser");

const SCRIPT = "<script>document.title = 'taken'</script>";

run("/", async (page) => {
    await page.getByLabel("Name").fill(SCRIPT);
    await page.getByLabel("Price").fill("cheap");
    await page.getByLabel("hot").check();
    await page.getByRole("button", { name: "Add" }).click();
    await page.getByText("A price is a whole number.").waitFor();
    is(await page.getByLabel("Name").inputValue(), SCRIPT, "the form remembers the name");
    ok(await page.getByLabel("hot").isChecked(), "… and what was ticked");

    await page.getByLabel("Price").fill("25000");
    await page.getByRole("button", { name: "Add" }).click();
    await page.waitForURL("**/dishes/1");
    is(await page.locator("h1").innerText(), SCRIPT, "the dish, with markup as text");
    is(await page.locator("h1 script").count(), 0, "… of which no element is made");
    await page.reload(); // asks nothing: it is no POST any more

    await page.getByRole("link", { name: "All dishes" }).click();
    is(await page.locator("li").innerText(), `${SCRIPT}: Rp 25000 pedas`, "it is on the menu, once");

    // The form with a mistake was answered by 422, which Chromium tells on its console.
    page.errors = page.errors.filter((text) => !text.includes("422"));
});
