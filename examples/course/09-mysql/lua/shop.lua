-- The shop's SQL. Every function gets a connection first: see db.with() and db.transaction().
local shop = {}

function shop.all(db)
    return assert(db:query("SELECT id, name, price, stock, note FROM products ORDER BY id"))
end

-- What comes from outside is quoted before it becomes a part of SQL. Without quote_sql_str(), the
-- name  x' OR '1'='1  would find everything.
function shop.named(db, name)
    return assert(db:query("SELECT id, name, price, stock, note FROM products WHERE name = "
        .. ngx.quote_sql_str(name) .. " ORDER BY id"))
end

-- Or a prepared statement: its values travel apart from the SQL, and need no quotes at all.
function shop.add(db, product)
    local statement = assert(db:prepare(
        "INSERT INTO products (name, price, stock, note) VALUES (?, ?, ?, ?)"))
    local done, err, code = statement:execute(product.name, product.price, product.stock, product.note)
    statement:close()
    if code == 1062 then -- ER_DUP_ENTRY
        return nil, 409, "there is a product of that name"
    end
    assert(done, err)
    product.id = done.insert_id
    return product
end

-- To be called within a transaction: nobody else changes the row until it ends (FOR UPDATE).
function shop.order(db, id, count)
    local find = assert(db:prepare("SELECT price, stock FROM products WHERE id = ? FOR UPDATE"))
    local row = assert(find:execute(id))[1]
    if not row then
        return nil, 404, "no such product"
    end

    local insert = assert(db:prepare("INSERT INTO orders (product, count) VALUES (?, ?)"))
    local order = assert(insert:execute(id, count))
    if row.stock < count then
        return nil, 409, "only " .. row.stock .. " left" -- the order just written is undone
    end

    local update = assert(db:prepare("UPDATE products SET stock = stock - ? WHERE id = ?"))
    assert(update:execute(count, id))
    return { id = order.insert_id, product = id, count = count, total = count * row.price }
end

return shop
