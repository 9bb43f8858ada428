local target = require "target"

describe("a target", function()
    it("is a host and a port", function()
        assert.same({ "example.com", 80 }, { target.parse("example.com:80") })
        assert.same({ "[::1]", 8080 }, { target.parse("[::1]:8080") })
    end)

    it("is nothing else", function()
        for _, text in ipairs({ "", "example.com", ":80", "::1:80", "a:70000", "a b:1" }) do
            assert.message(text).is_nil(target.parse(text))
        end
    end)

    it("can be connected to", function()
        local host, port = target.parse("127.0.0.1:1")
        local socket = ngx.socket.tcp()
        local ok, err = socket:connect(host, port)
        assert.is_nil(ok)
        assert.matches("refused", err)
    end)
end)
