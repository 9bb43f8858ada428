-- Tests of the modules, without a server: bin/bulan test -I lua spec
describe("slug", function()
    local slug = require("text").slug

    it("makes a part of an address", function()
        assert.equal("nasi-goreng", slug("Nasi Goreng!"))
        assert.equal("50-off", slug("  50% off "))
    end)

    it("is empty without letters", function()
        assert.equal("", slug("..."))
        assert.equal("", slug(nil))
    end)

    it("is no longer than 40", function()
        assert.equal(40, #slug(("x"):rep(100)))
    end)
end)

describe("a cart", function()
    local cart

    before_each(function() cart = require("cart").new() end)

    it("adds up", function()
        assert.is_true(cart:add("kopi", 2))
        assert.is_true(cart:add("teh", 1))
        assert.equal(32000, cart:total())
    end)

    it("has only what there is", function()
        local ok, err = cart:add("emas", 1)
        assert.is_nil(ok)
        assert.equal("we have no emas", err)
        assert.equal(0, cart:total())
    end)

    it("counts in whole numbers", function()
        for _, count in ipairs { 0, -1, 0.5, "2" } do
            assert.message(count).is_nil(cart:add("kopi", count))
        end
    end)
end)

describe("a greeter", function()
    local greeter = require "greeter"

    -- Two light threads stand for two requests at the same time.
    local function both(greet)
        local ani = ngx.thread.spawn(greet, "Ani")
        local budi = ngx.thread.spawn(greet, "Budi")
        return select(2, ngx.thread.wait(ani)), select(2, ngx.thread.wait(budi))
    end

    it("knows who is who", function()
        assert.same({ "Hello, Ani", "Hello, Budi" }, { both(greeter.right) })
    end)

    it("mixes people up when it keeps them in a module's variable", function()
        assert.same({ "Hello, Budi", "Hello, Budi" }, { both(greeter.wrong) })
    end)
end)
