-- What a template can use besides Lua's own functions on texts (docs/templates.md). `map` is what template.c knows of
-- the gateway, `lists` its units, rows and so on. Returns the environment of the template.

local map, lists, json = ...
local parts = {} -- of the output

local function strict(item, name)
    return setmetatable(item, {__index = function(_, key)
        error(("there is no '%s%s' here"):format(name, key), 2)
    end})
end

lists.connection = {}
for _, dashboard in ipairs(lists.dashboard) do
    if dashboard.number == 1 then -- sections with the same broker are one: that of the first of them
        local connection = {}
        for name, value in pairs(dashboard) do
            connection[name] = value
        end
        connection.number = dashboard.connection
        table.insert(lists.connection, connection)
    end
end

for kind, list in pairs(lists) do
    for at, item in ipairs(list) do
        if kind == "row" then
            local after = list[at + 1]
            item.title = item.meaning:match("^[^,]*")
            item.address, item.size = map.base + item.offset, item.count * item.registers
            item.word_order = (item.type == "string" or item.registers == 1) and ""
                or item.high_first and "high first" or "low first"
            -- The array of which a row is the average follows directly, in the same type.
            item.behind = after and after.count > 1 and after.type == item.type
                and after.offset == item.offset + item.size and after or false
        elseif item.meaning == "" then -- an alarm's is its name: "cell over voltage"
            item.meaning = item.name:match("[^.]*$"):gsub("_", " ")
        end
        strict(item, kind .. ".")
    end
end

local env = strict(map, "")
env.string, env.tostring, env.tonumber, env.lists = string, tostring, tonumber, lists

function env.put(value)
    if value == nil then
        error("a value is missing", 2)
    end
    table.insert(parts, type(value) == "number" and ("%.14g"):format(value) or tostring(value or ""))
end

function env.printed()
    return table.concat(parts)
end

-- Runs its loop once, and prints the output of that as a JSON string.
function env.captured()
    local outer, captured = parts, {}
    return function()
        if parts ~= captured then
            parts = captured
            return true
        end
        parts = outer
        env.put(env.json((table.concat(captured):gsub("^\n", ""))))
    end
end

-- Whether each turn is the first and the last one, and the items for which `is` holds, with what belongs to them.
function env.loop(is, items, others)
    local kept, turn = {}, 0
    for at, item in ipairs(items) do
        local other = others and others[at]
        if is(item, other) then
            table.insert(kept, {item, other})
        end
    end
    return function()
        turn = turn + 1
        if kept[turn] then
            return turn == 1, turn == #kept, table.unpack(kept[turn])
        end
    end
end

-- The rows of a group, or all, as they are in a unit.
function env.rows(unit, group)
    local found = {}
    for _, row in ipairs(lists.row) do
        if not group or (row.offset >= group.offset and row.offset < group.offset + group.size) then
            local array, has = row.behind, unit and row.elements ~= "" and unit[row.elements]
            table.insert(found, setmetatable({
                known = has and has < row.count and has or row.count,
                array = {name = array and array.name or "", title = array and array.title or "",
                         known = array and unit and unit[array.elements] or 0},
            }, {__index = row}))
        end
    end
    return found
end

-- From 1 to `most`, and the elements of a row that is an array.
function env.numbers(row, most)
    local numbers, elements = {}, {}
    for n = 1, most do
        numbers[n], elements[n] = n, row
        if row and row.count > 1 then
            elements[n] = setmetatable({
                name = row.name .. "." .. n, offset = row.offset + (n - 1) * row.registers,
                address = row.address + (n - 1) * row.registers,
                meaning = row.title .. " " .. n .. row.meaning:sub(#row.title + 1),
            }, {__index = row})
        end
    end
    return numbers, elements
end

function env.dashboards(connection)
    local found = {}
    for _, dashboard in ipairs(lists.dashboard) do
        if not connection or dashboard.connection == connection.number then
            table.insert(found, dashboard)
        end
    end
    return found
end

function env.address(name)
    for _, row in ipairs(lists.row) do
        if row.name == name and row.block == "extended" then
            return row.address
        end
    end
    error(("there is no value '%s' in the map"):format(name), 2)
end

function env.one_of(text, words)
    return (" " .. words:gsub("%s", " ") .. " "):find(" " .. text .. " ", 1, true) ~= nil
end

function env.pick(value, case, result, ...)
    if case == nil or result == nil then
        return case or ""
    end
    if value == case then
        return result
    end
    return env.pick(value, ...)
end

function env.hex(number, digits)
    return ("%0" .. digits .. "X"):format(number)
end

function env.digits(number, digits)
    return ("%0" .. digits .. "d"):format(number)
end

function env.replace(text, characters, by)
    return (text:gsub("[" .. characters:gsub("%W", "%%%0") .. "]", by))
end

function env.json(text)
    return json(text) or error("this text is not UTF-8", 2)
end

return env
