-- resty.mail: a server's answers, and what is made of addresses and subjects.
local fuzz = require "fuzz"
local mail = require "resty.mail"
local message = require "resty.mail.message"

local corpus = {
    "220 mail\r\n250-mail\r\n250-SIZE 1000000\r\n250 8BITMIME\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 taken\r\n221 bye\r\n",
    "220 mail\r\n500 what\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n", "554 no\r\n", "220-a\r\n220-b\r\n220 c\r\n250 AUTH PLAIN LOGIN\r\n235 ok\r\n",
    "220 m\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 ok\r\n250 ok\r\n550 nobody\r\n250 ok\r\n",
    "220 m\n250 STARTTLS\n454 not now\n",
}

local addresses = {
    "a@example.com", "Name <a@example.com>", '"Last, First" <a@b.c>', "=?x?= <ä@b>", "<>", "a@b, c@d", '"q\\"q" <a@b>', "  a@b  ", "a b <a@b>",
}

local function send(address)
    local mailer = assert(mail.new {
        host = address, domain = "here.test", timeout_connect = 1000, timeout_send = 1000, timeout_read = fuzz.timeout, starttls = false,
        username = fuzz.login and "user" or nil, password = fuzz.login and "secret" or nil,
    })
    local ok, err = mailer:send { from = "a@example.com", to = { "b@example.com", "c@example.com" }, subject = "x", text = "y" }
    assert(ok == true or type(err) == "string", "no reason")
    assert(ok or not err:find("secret", 1, true) and not err:find("c2VjcmV0", 1, true), "a password in an error")
    return ok, err
end

-- Whatever the parts are, there is one line to a field, and no field that nobody asked for.
local function check_parts()
    local from, to, subject = fuzz.mutate(addresses), fuzz.mutate(addresses), fuzz.mutate(addresses)
    local made, err = message.new({ from = from, to = { to }, subject = subject, text = "text" }, "here.test")
    if not made then
        assert(type(err) == "string" and err:find("^invalid "), "no reason")
        return
    end
    for _, each in ipairs(made:get_recipient_addresses()) do
        assert(not each:find("[%c%s<>]") and #each <= 320, "a bad address")
    end
    local head = made:get_body_string():match("^(.-)\r\n\r\n") .. "\r\n"
    for line in head:gmatch("(.-)\r\n") do
        assert(not line:find("[%z\r\n]") and line:find("^[%a-]+: ") or line:find("^[ \t]%S"), "a bad line: " .. line)
        assert(#line <= 998, "a long line")
    end
end

fuzz.run {
    name = "mail",
    corpus = corpus,
    check = function(bytes)
        fuzz.login = fuzz.random(3) == 1
        fuzz.exchange(bytes, send)
        fuzz.agreement(bytes, send)
        check_parts()
    end,
}
