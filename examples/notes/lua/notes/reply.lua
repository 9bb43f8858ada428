-- Answers: JSON for programs, pages for people, and what either is told when something fails.

local cjson = require "cjson"
local template = require "resty.template"

template.root = ngx.config.prefix() .. "views"

local _M = {}

-- What a status means where nobody says more.
local MEANING = {
    [404] = "there is no such thing here",
    [405] = "this can't be done here",
    [413] = "that is too long",
    [503] = "this is not at hand, please try again later",
}

function _M.json(value, status)
    ngx.status = status or 200
    ngx.header["Content-Type"] = "application/json"
    ngx.header["Cache-Control"] = "no-store"
    ngx.say(cjson.encode(value))
end

-- A view with its context. {{…}} in the view is escaped, so whatever users write stays text.
function _M.page(view, context, status)
    ngx.status = status or 200
    ngx.header["Content-Type"] = "text/html; charset=utf-8"
    ngx.header["Cache-Control"] = "no-store"
    template.render_file(view, context)
end

local function is_api()
    return ngx.var.request_uri:find("^/api/") ~= nil
end

-- Ends the request with an error, in the form that who asks can read.
function _M.fail(status, message)
    message = message or MEANING[status] or "this failed"
    if is_api() then
        _M.json({ error = message }, status)
    else
        _M.page("error.html", { title = "Sorry", status = status, message = message }, status)
    end
    return ngx.exit(ngx.HTTP_OK)
end

-- The same for a server that does not answer. The log gets the reason; the client does not.
function _M.unavailable(what, err)
    ngx.log(ngx.ERR, what, ": ", err)
    ngx.header["Retry-After"] = 5
    return _M.fail(503)
end

return _M
