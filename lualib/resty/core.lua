--- The Lua side of the ngx API: loads every family of it. The server does that itself when it makes
-- a Lua VM; `require "resty.core"` in a program is allowed and does nothing more.

local families = {
    "resty.core.base",
    "resty.core.phase",
    "resty.core.coroutine",
    "resty.core.thread",
    "resty.core.require",
    "resty.core.var",
    "resty.core.ctx",
    "resty.core.response",
    "resty.core.request",
    "resty.core.uri",
    "resty.core.base64",
    "resty.core.hash",
    "resty.core.time",
    "resty.core.regex",
    "resty.core.shdict",
    "resty.core.param",
    "resty.core.worker",
    "resty.core.ndk",
    "resty.core.socket",
}

for _, name in ipairs(families) do
    require(name)
end

return { version = "0.1.33" }
