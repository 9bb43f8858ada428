-- Takes a form with files, and writes the files to disk as they come: however large they are, there
-- is only one piece of them in memory.
local cjson = require "cjson"
local random = require "resty.random"
local to_hex = require("resty.string").to_hex
local upload = require "resty.upload"

local FOLDER = ngx.config.prefix() .. "uploads/"
local PIECE = 16384          -- bytes read at a time
local LARGEST = 5 * 1048576  -- bytes of a file
local MOST = 10              -- files in a form
local FIELD = 1000           -- bytes of a field that is no file
local NAME = 200             -- bytes of a file's name; file systems take 255, and a number comes in front

-- What may come in, by its first bytes: a name is quickly changed, and so is a Content-Type.
local TYPES = {
    { name = "png", magic = "\137PNG\r\n\26\n" },
    { name = "jpg", magic = "\255\216\255" },
    { name = "pdf", magic = "%PDF-" },
    { name = "txt", magic = "" }, -- and everything else that has no zero byte
}

local receive = {}

local function type_of(piece)
    for _, kind in ipairs(TYPES) do
        if piece:sub(1, #kind.magic) == kind.magic then
            return (kind.magic ~= "" or not piece:find("\0", 1, true)) and kind.name or nil
        end
    end
end

-- Ends the work on a form: what is half written is thrown away.
local function refuse(status, message)
    error({ status = status, message = message }, 0)
end

-- A file has a name of ours while it is written, and nobody can get at it. Only when all of it is
-- there, it gets its own name, with a number in front: nobody's file is written over, and nobody guesses
-- where it is.
local function open(name)
    local number = to_hex(random.bytes(16, true))
    local part = FOLDER .. ".part-" .. number
    local handle, err = io.open(part, "wb")
    if not handle then
        ngx.log(ngx.ERR, "upload: ", err)
        refuse(500, "cannot be stored")
    end
    return { handle = handle, part = part, stored = number .. "-" .. name, name = name, bytes = 0 }
end

local function write(file, piece)
    if file.bytes == 0 then
        file.type = type_of(piece) or refuse(415, file.name .. ": only PNG, JPEG, PDF and text")
    end
    file.bytes = file.bytes + #piece
    if file.bytes > LARGEST then
        refuse(413, file.name .. ": larger than 5 MB")
    end
    -- This waits for the disk, though only a moment: the kernel writes later. For slow disks there
    -- is ngx.run_worker_thread.
    if not file.handle:write(piece) then
        refuse(507, "the disk is full")
    end
end

local function finish(file)
    file.handle:close()
    file.handle = nil
    assert(os.rename(file.part, FOLDER .. file.stored))
    return {
        name = file.name, type = file.type or "txt", bytes = file.bytes,
        url = "/files/" .. ngx.escape_uri(file.stored),
    }
end

-- The loop over the form's pieces. `state.file` is the file that is being written.
local function read(form, state, report)
    local files, fields, name = {}, {}, nil
    while true do
        local kind, piece, err = form:read()
        if not kind then
            refuse(400, "incomplete: " .. err)
        elseif kind == "header" and type(piece) == "table" and piece[1]:lower() == "content-disposition" then
            local filename, given
            name, filename, given = upload.disposition(piece[2]) -- filename has no folders in it
            if filename then
                if #files == MOST then
                    refuse(413, "more than 10 files")
                elseif state.file then
                    refuse(400, "two names for one file")
                elseif #filename > NAME then
                    refuse(400, "a name of more than 200 bytes")
                end
                state.file = open(filename)
            elseif given and given ~= "" then
                refuse(400, "what a name")
            end
        elseif kind == "body" then
            report(#piece)
            if state.file then
                write(state.file, piece)
            elseif name then
                fields[name] = (fields[name] or "") .. piece
                if #fields[name] > FIELD then
                    refuse(413, name .. ": too long")
                end
            end
        elseif kind == "part_end" then
            if state.file then
                files[#files + 1] = finish(state.file)
            end
            state.file, name = nil, nil
        elseif kind == "eof" then
            return { files = setmetatable(files, cjson.array_mt), note = fields.note }
        end
    end
end

function receive.form()
    if ngx.req.get_method() ~= "POST" then
        ngx.header["Allow"] = "POST"
        return ngx.exit(405)
    end
    local form, err = upload:new(PIECE)
    if not form then
        ngx.status = 400
        return ngx.say(cjson.encode { error = err })
    end
    form:set_timeout(10000) -- ten seconds without a byte, and it is over

    local id, bytes = ngx.var.arg_id, 0
    local function report(more)
        bytes = bytes + more
        if id then
            ngx.shared.progress:set(id, bytes, 60)
        end
    end

    local state = {}
    local good, result = pcall(read, form, state, report)
    if state.file then -- it was not finished
        if state.file.handle then
            state.file.handle:close()
        end
        os.remove(state.file.part)
    end
    if good then
        ngx.status = 201
        return ngx.say(cjson.encode(result))
    elseif type(result) ~= "table" then
        error(result, 0) -- a mistake of this program: 500, and the log tells where
    end
    ngx.log(ngx.INFO, "upload refused: ", result.message)
    ngx.status = result.status
    ngx.say(cjson.encode { error = result.message })
end

return receive
