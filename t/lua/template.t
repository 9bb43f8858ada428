use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: every tag
--- config
location /t {
    content_by_lua_block {
        local template = require "resty.template"
        local function say(view, context) ngx.say("[", template.process(view, context), "]") end
        local context = { a = [[<b>&"'/</b>]], n = 5, no = false, list = { 1, 2, 3 }, null = ngx.null,
            call = function() return "<called>" end }
        say("{{a}} {*a*}", context)
        say("{{n}} {{no}} {{none}} {{null}} {{call}} {*call*} {{context.n + 1}} {*escape('{', true)*}", context)
        say("{% for i, v in ipairs(list) do %}{{i}}={{v}};{% end %}", context)
        say("{% if no then %}yes{% else %}no{% end %}", context)
        say("{% echo(n, '|', nil, a) %}", context)
        say("a{# not {{this}} #}b", context)
        say("{-raw-}{{a}} {% end %}{-raw-} {-verbatim-}{*a*}{-verbatim-}", context)
        say([[\{{a}} \\{{n}} \{% x %} {\ \x]], context)
        say("{ {a} {- { {-x-} } {{ {*", { })
        say("{['<{{n}}>']} {['<{{n}}>', {n = 6}]}", context)
        say("{% local x = 3 y = 4 %}{{x}}{{y}}{{template.caching()}}{{string.upper('z')}}")
        say("{{y}}")
        say("")
        local bytes = "a\0b\r\nc\\n\"]]\255"
        ngx.say(template.process(bytes) == bytes)
    }
}
--- request
GET /t
--- response_body
[&lt;b&gt;&amp;&quot;&#39;&#47;&lt;&#47;b&gt; <b>&"'/</b>]
[5 false   &lt;called&gt; <called> 6 &#123;]
[1=1;2=2;3=3;]
[no]
[5|<b>&"'/</b>]
[ab]
[{{a}} {% end %} {*a*}]
[{{a}} \5 {% x %} {\ \x]
[{ {a} {- { {-x-} } {{ {*]
[<5> <6>]
[34trueZ]
[]
[]
true



=== TEST 2: files, includes, layouts and blocks
--- user_files
>>> layout.html
<title>{{title}}</title>
{*view*}
{% if blocks.aside then %}
<aside>{*blocks.aside*}</aside>
{% end %}
>>> view.html
{% layout = "layout.html" %}
<h1>{{message}}</h1>
{-aside-}
{% for _, word in ipairs(words) do %}
* {{word}}
{% end %}
{-aside-}
{(part.html)}{( part.html, { message = "mine" } )}
>>> part.html
({{message}})
>>> bare.html
<p>{{message}}</p>
--- config
location /t {
    content_by_lua_block {
        local template = require "resty.template"
        local context = { title = "T&C", message = "Hello", words = { "one", "two" } }
        template.render("view.html", context)
        ngx.say("--")
        local view = template.new("bare.html", "layout.html")
        view.title, view.message = "new", "object"
        view:render()
        ngx.say("--")
        local layout = template.new("layout.html")
        layout.title = "outer"
        view = template.new("bare.html", layout)
        view.message = "inner"
        ngx.print(tostring(view))
        ngx.say("--")
        local func, cached = template.compile("bare.html")
        ngx.print(cached, func { message = "f" })
        ngx.say(template.process("no/such/file.html"))
        ngx.say((select(2, pcall(template.process_file, "no/such/file.html"))):match("no such template: .*"))
        ngx.say(template.process_string("bare.html"))
        template.root = ngx.var.document_root .. "/none"
        ngx.say(template.process("bare.html"))
        template.root = nil
        ngx.print(template.process("bare.html", { message = "back" }))
    }
}
--- request
GET /t
--- response_body
<title>T&amp;C</title>
<h1>Hello</h1>
(Hello)
(mine)


<aside>* one
* two
</aside>
--
<title>new</title>
<p>object</p>

--
<title>outer</title>
<p>inner</p>

--
true<p>f</p>
no/such/file.html
no such template: no/such/file.html
bare.html
bare.html
<p>back</p>



=== TEST 3: files by a subrequest; the cache
--- config
location /views/ {
    content_by_lua_block {
        if ngx.var.uri ~= "/views/a.html" then return ngx.exit(404) end
        ngx.ctx.n = (ngx.shared.hits:incr("n", 1, 0))
        ngx.print("{{x}} ", ngx.ctx.n)
    }
}
location /t {
    content_by_lua_block {
        local template = require "resty.template"
        template.location = "/views"
        ngx.say(template.process("a.html", { x = 1 }))
        ngx.say(template.process("a.html", { x = 2 }))
        ngx.say(template.caching(false), template.process("a.html", { x = 3 }), template.caching(true))
        ngx.say(template.process("a.html", { x = 4 }, "no-cache"))
        ngx.say(template.process("{{x}}", { x = 5 }, "my key"), (select(2, template.compile("other", "my key"))))
        template.location = nil
    }
}
--- http_config
lua_shared_dict hits 100k;
--- request
GET /t
--- response_body
1 1
2 1
false3 2true
4 3
5true



=== TEST 4: mistakes tell the place; renderings that wait do not mix
--- config
location /t {
    content_by_lua_block {
        local template = require "resty.template"
        ngx.say((select(2, pcall(template.process, "one\n{# a\nb #}\n{% x = = 1 %}\n"))))
        ngx.say((select(2, pcall(template.process, "one\n\n{{ none.x }}\n"))))
        local view = "{% for i = 1, 3 do %}{{x}}{% ngx.sleep(0) end mine = (mine or 0) + 1 %}{{mine}}"
        local threads = {}
        for i = 1, 3 do threads[i] = ngx.thread.spawn(template.process, view, { x = i }) end
        for i = 1, 3 do ngx.say((select(2, ngx.thread.wait(threads[i])))) end
    }
}
--- request
GET /t
--- response_body_like eval
qr/template:4: unexpected symbol .*\n.*template:3: attempt to index .*'none'.*\n1111\n2221\n3331\n/s



=== TEST 5: mistakes as messages
--- config
location /t {
    content_by_lua_block {
        local template = require "resty.template.safe"
        ngx.say(template.process("{{x}}", { x = 1 }))
        ngx.say(template.process("{{ x.y }}"))
        ngx.say(template.compile("{% x = = 1 %}"))
        ngx.say(template.load_file("no/such/file"))
        local func, cached = template.compile("{{ x.y }}")
        ngx.say(cached, " ", func { x = { y = 2 } })
        ngx.say(func())
        template.root = "/none"
        ngx.say(require("resty.template").root)
        template.root = nil
    }
}
--- request
GET /t
--- response_body_like eval
qr{^1
niltemplate:1: attempt to index [^\n]*
niltemplate:1: unexpected symbol near '='
nilno such template: no/such/file
true 2
niltemplate:1: attempt to index [^\n]*
/none
\z}
