-- The contexts: name of the golden file -> template, context.
return {
    ["notes.golden"] = { "notes.html", {
        title = "Notes & <more>", here = "/notes",
        menu = { { url = "/", name = "Home" }, { url = "/notes", name = "Notes" } },
        notes = {
            { id = 1, text = "tea with <b>sugar</b>", tags = { "food", "\"quoted\"" } },
            { id = 2, text = "it's 5 o'clock", by = "Dewi / Budi" },
        },
    } },
    ["empty.golden"] = { "notes.html", { title = "None", menu = {}, notes = {}, lang = "en" } },
    ["verbatim.golden"] = { "verbatim.html", { value = 7, html = "<i>&</i>", number = 1.5, yes = true } },
}
