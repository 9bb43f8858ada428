// What the page hears from /events of events.t.
"use strict";

const { run, is } = require("./browser");

const MOON = "two lines,\nand a ☾";

run("/events.html", async (page) => {
    const { opened, events } = await page.evaluate(() => heard);
    is(opened, 2, "two streams");
    is(events, [["1", "number 1"], ["2", "number 2"], ["3", MOON], ["4", "number 4"], ["5", "number 5"], ["6", MOON]],
        "nothing is missing where the first ended, and nothing came twice");
});
