-- resty.mysql.ed25519: the signature that MariaDB's client_ed25519 wants. Private.
--
-- It is Ed25519 (RFC 8032, 5.1) but for one thing: the secret key is expanded from the password of
-- any length instead of from 32 bytes, so OpenSSL's own Ed25519 does not serve. The multiplications
-- of points are OpenSSL's all the same, in C: the curve is written in the Weierstrass form, for
-- which OpenSSL multiplies on any curve,
--
--     Edwards x, y   <->   Montgomery u = (1+y)/(1-y), v = s u/x   <->   Weierstrass u + A/3, v
--
-- with A = 486662 and s a square root of -(A + 2). A login takes two multiplications, less
-- than a millisecond, once a connection.

local ffi = require "ffi"
local sql_auth = require "resty.sql_auth"

local C = ffi.C
local band = bit.band
local bor = bit.bor
local byte = string.byte
local char = string.char
local crypto = require "resty.openssl.crypto"
local ffi_gc = ffi.gc
local ffi_new = ffi.new
local ffi_string = ffi.string
local sha512 = sql_auth.sha512
local sub = string.sub

crypto.declare [[
void *BN_CTX_new(void);
void BN_CTX_free(void *ctx);
void *BN_lebin2bn(const unsigned char *s, int len, void *ret);
int BN_bn2lebinpad(const void *a, unsigned char *to, int tolen);
int BN_is_bit_set(const void *a, int n);
int BN_mod_add(void *r, const void *a, const void *b, const void *m, void *ctx);
int BN_mod_sub(void *r, const void *a, const void *b, const void *m, void *ctx);
int BN_mod_mul(void *r, const void *a, const void *b, const void *m, void *ctx);
void *BN_mod_inverse(void *r, const void *a, const void *n, void *ctx);
void *BN_mod_sqrt(void *r, const void *a, const void *n, void *ctx);
int BN_nnmod(void *r, const void *a, const void *m, void *ctx);
void *EC_GROUP_new_curve_GFp(const void *p, const void *a, const void *b, void *ctx);
void EC_GROUP_free(void *group);
int EC_GROUP_set_generator(void *group, const void *generator, const void *order, const void *cofactor);
void *EC_POINT_new(const void *group);
void EC_POINT_free(void *point);
int EC_POINT_set_affine_coordinates(const void *group, void *p, const void *x, const void *y, void *ctx);
int EC_POINT_get_affine_coordinates(const void *group, const void *p, void *x, void *y, void *ctx);
int EC_POINT_mul(const void *group, void *r, const void *n, const void *q, const void *m, void *ctx);
]]

local PRIME = "57896044618658097711785492504343953926634992332820282019728792003956564819949"
local ORDER = "7237005577332262213973186563042994240857116359379907606001950938285454250989"
local BASE_X = "15112221349535400772501151409588531511454012693041857206046113283949847762202"

local _M = {}

-- Numbers and the curve, made when they are first needed.
local curve

local function number()
    return ffi_gc(C.bl_BN_new(), C.bl_BN_clear_free)
end

local function decimal(text)
    local at = ffi_new("void *[1]")
    C.bl_BN_dec2bn(at, text)
    return ffi_gc(at[0], C.bl_BN_clear_free)
end

local function little_endian(bytes)
    return ffi_gc(C.bl_BN_lebin2bn(bytes, #bytes, nil), C.bl_BN_clear_free)
end

-- Arithmetic modulo `m`, each into a number of its own.
local function add(a, b, m)
    local r = number()
    C.bl_BN_mod_add(r, a, b, m, curve.ctx)
    return r
end

local function subtract(a, b, m)
    local r = number()
    C.bl_BN_mod_sub(r, a, b, m, curve.ctx)
    return r
end

local function multiply(a, b, m)
    local r = number()
    C.bl_BN_mod_mul(r, a, b, m, curve.ctx)
    return r
end

local function divide(a, b, m)
    local r = number()
    C.bl_BN_mod_inverse(r, b, m, curve.ctx)
    return multiply(a, r, m)
end

local function reduce(a, m)
    local r = number()
    C.bl_BN_nnmod(r, a, m, curve.ctx)
    return r
end

-- The group with its generator: base point u = 9.
local function set_up_group(p)
    local A, three = decimal("486662"), decimal("3")
    local third = divide(A, three, p)
    -- a = 1 - A^2/3, b = 2 A^3/27 - A/3
    local a = subtract(curve.one, multiply(A, third, p), p)
    local b = multiply(multiply(third, third, p), third, p)
    b = subtract(add(b, b, p), third, p)
    curve.third = third
    curve.group = ffi_gc(C.bl_EC_GROUP_new_curve_GFp(p, a, b, curve.ctx), C.bl_EC_GROUP_free)
    local u = decimal("9")
    local v = divide(multiply(curve.root, u, p), decimal(BASE_X), p)
    local base = ffi_gc(C.bl_EC_POINT_new(curve.group), C.bl_EC_POINT_free)
    return C.bl_EC_POINT_set_affine_coordinates(curve.group, base, add(u, third, p), v, curve.ctx) == 1
        and C.bl_EC_GROUP_set_generator(curve.group, base, curve.order, decimal("8")) == 1
end

local function set_up()
    curve = {
        ctx = ffi_gc(C.bl_BN_CTX_new(), C.bl_BN_CTX_free),
        one = decimal("1"),
        order = decimal(ORDER),
        prime = decimal(PRIME),
        root = number(),
    }
    local p = curve.prime
    C.bl_BN_mod_sqrt(curve.root, subtract(p, decimal("486664"), p), p, curve.ctx)
    if not set_up_group(p) then
        C.ERR_clear_error()
        curve = nil
        return nil
    end
    return true
end

-- The encoding (RFC 8032, 5.1.2) of the base point times a scalar.
local function times_base(scalar)
    local group, p = curve.group, curve.prime
    local point = ffi_gc(C.bl_EC_POINT_new(group), C.bl_EC_POINT_free)
    local u, v = number(), number()
    if C.bl_EC_POINT_mul(group, point, scalar, nil, nil, curve.ctx) ~= 1
        or C.bl_EC_POINT_get_affine_coordinates(group, point, u, v, curve.ctx) ~= 1
    then
        C.ERR_clear_error()
        return nil
    end
    u = subtract(u, curve.third, p)
    local x = divide(multiply(curve.root, u, p), v, p)
    local y = divide(subtract(u, curve.one, p), add(u, curve.one, p), p)
    local bytes = ffi_new("unsigned char[32]")
    C.bl_BN_bn2lebinpad(y, bytes, 32)
    if C.bl_BN_is_bit_set(x, 0) == 1 then
        bytes[31] = bor(bytes[31], 128)
    end
    return ffi_string(bytes, 32)
end

-- Signs a message with a password: 64 bytes, or nil and an error.
function _M.sign(password, message)
    if not curve and not set_up() then
        return nil, "ed25519 is not available"
    end
    local expanded = sha512(password)
    local low = char(band(byte(expanded, 1), 248)) .. sub(expanded, 2, 31)
    local secret = little_endian(low .. char(bor(band(byte(expanded, 32), 63), 64)))
    local order = curve.order
    local nonce = reduce(little_endian(sha512(sub(expanded, 33) .. message)), order)
    secret = reduce(secret, order)
    local public, commitment = times_base(secret), times_base(nonce)
    if not public or not commitment then
        return nil, "ed25519 failed"
    end
    local challenge = reduce(little_endian(sha512(commitment .. public .. message)), order)
    local s = add(multiply(challenge, secret, order), nonce, order)
    local bytes = ffi_new("unsigned char[32]")
    C.bl_BN_bn2lebinpad(s, bytes, 32)
    return commitment .. ffi_string(bytes, 32)
end

return _M
