// Both pages: logging in, and notes that are added, changed and deleted without loading the page anew.
"use strict";

const csrf = document.querySelector("meta[name=csrf-token]")?.content;

function tell(text) {
    const message = document.getElementById("message");
    message.textContent = text;
    message.hidden = !text;
}

// Asks the API; gives what it answers, or throws what it says is wrong.
async function ask(method, path, value) {
    const headers = {};
    if (csrf) headers["X-CSRF-Token"] = csrf;
    if (value !== undefined) headers["Content-Type"] = "application/json";
    const answer = await fetch(path, { method, headers, body: value && JSON.stringify(value) });
    if (answer.status === 401 && csrf) location.assign("/login"); // the session is over
    const body = answer.status === 204 ? null : await answer.json();
    if (!answer.ok) throw new Error(body.error);
    return body;
}

// on("#new", "submit", f): f may fail; then the page says why.
function on(element, event, handle) {
    element?.addEventListener(event, async (e) => {
        if (event === "submit") e.preventDefault();
        tell("");
        try {
            await handle(e);
        } catch (error) {
            tell(error.message);
        }
    });
}

const fields = (form) => Object.fromEntries(new FormData(form));

// ---- logging in and out

on(document.getElementById("login"), "submit", async (e) => {
    const user = fields(e.target);
    if (e.submitter?.value === "register") await ask("POST", "/api/register", user);
    await ask("POST", "/api/login", user);
    location.assign("/");
});

on(document.getElementById("logout"), "click", async () => {
    await ask("POST", "/api/logout");
    location.assign("/login");
});

// ---- notes

const list = document.getElementById("notes");

// textContent, never innerHTML: what a user wrote is text.
function show(item, note) {
    item.dataset.id = note.id;
    item.querySelector("h2").textContent = note.title;
    item.querySelector(".text").textContent = note.text;
    item.querySelector("time").textContent = note.changed;
}

on(document.getElementById("new"), "submit", async (e) => {
    const note = await ask("POST", "/api/notes", fields(e.target));
    const item = document.getElementById("note").content.firstElementChild.cloneNode(true);
    show(item, note);
    list.prepend(item);
    e.target.reset();
});

// The form to change a note is that for new ones, with other words.
function edit(item) {
    const form = document.getElementById("new").cloneNode(true);
    form.removeAttribute("id");
    form.elements.title.value = item.querySelector("h2").textContent;
    form.elements.text.value = item.querySelector(".text").textContent;
    form.querySelector("button").textContent = "Save";
    item.hidden = true;
    item.after(form);
    form.elements.title.focus();
    on(form, "submit", async () => {
        show(item, await ask("PUT", "/api/notes/" + item.dataset.id, fields(form)));
        item.hidden = false;
        form.remove();
    });
}

on(list, "click", async (e) => {
    const item = e.target.closest("li");
    if (e.target.matches(".edit")) edit(item);
    if (e.target.matches(".delete")) {
        await ask("DELETE", "/api/notes/" + item.dataset.id);
        item.remove();
    }
});
