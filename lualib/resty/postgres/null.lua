-- resty.postgres.null: what stands for NULL where nil cannot. Private.

return setmetatable({}, {
    __tostring = function()
        return "NULL"
    end,
})
