# bulan's build. `make help` lists the targets.
#
# Objects go to $(BUILD); the variants (build-asan, build-fuzz, ...) stand side by side. There are no
# lists of files to keep: every src/**/*.c is the server, every t/unit/**/test_*.c is a program of
# unit tests, every t/**/*.t is a system test, every t/fuzz/fuzz_*.c is a fuzz driver, every
# t/fuzz/lua/*.lua but fuzz.lua a fuzz script.

BUILD ?= build
JOBS ?= 4
FUZZ_SECONDS ?= 10
MAKEFLAGS += --no-builtin-rules

all:

# ---- configuration: written by ./configure, which runs by itself where it never ran ----

NO_CONFIG := help clean packages-% run check check-browser asan ubsan tsan cover fuzz lint format doc
ifneq ($(filter-out $(NO_CONFIG),$(or $(MAKECMDGOALS),all)),)
-include config.mk
CONFIGURED := 1
endif

RECONFIGURE ?= ./configure

config.mk: configure
	@$(RECONFIGURE)

build/config.h: | config.mk
	@$(RECONFIGURE)

# ---- flags ----

OPTIMISE := -O3
ifeq ($(DEBUG),1)
OPTIMISE := -O1 -DBL_DEBUG=1
endif
ifneq ($(SANITIZER),)
SANITIZE := -fsanitize=$(SANITIZER) -fno-sanitize-recover=all
# gcc warns that it sees no fences in threads; ours are between processes.
ifeq ($(SANITIZER)$(findstring clang,$(CC)),thread)
SANITIZE += -Wno-tsan
endif
OPTIMISE := -O1 -DBL_DEBUG=1
endif
ifeq ($(LTO),1)
OPTIMISE += -flto=auto
endif

CFLAGS := -std=gnu11 $(OPTIMISE) -g -fomit-frame-pointer -Wall -Wextra -Werror -Wno-missing-field-initializers $(SANITIZE) \
    $(EXTRA_CFLAGS)
CPPFLAGS := -D_GNU_SOURCE -Isrc -Ibuild $(LIB_CFLAGS) $(EXTRA_CPPFLAGS)
# -E exports the server's functions, so that Lua's FFI finds them.
LDFLAGS := -Wl,-E $(OPTIMISE) -g $(SANITIZE) $(EXTRA_LDFLAGS)

COMPILE = $(CC) $(CPPFLAGS) $(CFLAGS) $(CC_OPT)

# ---- files ----

# ROOMS="core conf" builds these alone: for their unit tests, while a higher room is in pieces.
SOURCES := $(sort $(shell find $(or $(ROOMS:%=src/%),src) -name '*.c')) $(EXTRA_SOURCES)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o) $(BUILD)/lualib.o
BODY := $(filter-out $(BUILD)/src/main.o,$(OBJECTS))
LUALIB := $(sort $(shell find lualib -name '*.lua' 2>/dev/null))
UNIT_SOURCES := $(sort $(shell find t/unit -name 'test_*.c' 2>/dev/null))
UNIT_PROGRAMS := $(UNIT_SOURCES:t/unit/%.c=$(BUILD)/unit/%)
FUZZ_SOURCES := $(sort $(wildcard t/fuzz/fuzz_*.c))
FUZZ_SCRIPTS := $(filter-out t/fuzz/lua/fuzz.lua,$(sort $(wildcard t/fuzz/lua/*.lua)))

ifeq ($(BUILD),build)
BINARY := bin/bulan
else
BINARY := $(BUILD)/bulan
endif

# Every object of the variant depends on the command that made it (which `make check` does not know:
# it calls make again).
ifdef CONFIGURED
$(shell mkdir -p $(BUILD) && echo '$(subst ','\'',$(COMPILE) $(LDFLAGS) $(LIBS))' >$(BUILD)/command.new && \
    { cmp -s $(BUILD)/command.new $(BUILD)/command || mv $(BUILD)/command.new $(BUILD)/command; })
endif

# ---- the server ----

all: $(BINARY) ## the server, bin/bulan

$(BINARY): $(OBJECTS)
	@mkdir -p $(@D)
	@echo "LINK  $@"
	@$(CC) $(LDFLAGS) $(LD_OPT) -o $@ $(OBJECTS) $(LIBS)

$(BUILD)/%.o: %.c $(BUILD)/command | build/config.h
	@mkdir -p $(@D)
	@echo "CC    $<"
	@$(COMPILE) -MMD -MP -c $< -o $@

$(BUILD)/lualib.c: $(LUALIB) tools/embed $(BUILD)/lualib.list
	@echo "EMBED lualib"
	@tools/embed lualib >$@

$(BUILD)/lualib.o: $(BUILD)/lualib.c $(BUILD)/command | build/config.h
	@$(COMPILE) -MMD -MP -c $< -o $@

# Changes when a library comes or goes.
$(shell echo '$(LUALIB)' >$(BUILD)/lualib.list.new && \
    { cmp -s $(BUILD)/lualib.list.new $(BUILD)/lualib.list || mv $(BUILD)/lualib.list.new $(BUILD)/lualib.list; })

# All but main(), for the programs that test it.
$(BUILD)/libbulan.a: $(BODY)
	@rm -f $@
	@$(AR) rcs $@ $(BODY)

-include $(OBJECTS:.o=.d) $(UNIT_PROGRAMS:%=%.d)

# ---- tests ----

# make check T=t/http/foo.t (or a directory, or t/unit/core/test_str.c) runs only that.
ifdef T
UNIT_FOLDERS := $(filter t/unit%,$(filter-out %.c,$(T)))
TEST_PROGRAMS := $(patsubst t/unit/%.c,$(BUILD)/unit/%,$(filter %.c,$(T)) \
    $(if $(UNIT_FOLDERS),$(shell find $(UNIT_FOLDERS) -name 'test_*.c')))
TEST_FILES := $(filter-out %.c t/unit%,$(T))
else
TEST_PROGRAMS := $(UNIT_PROGRAMS)
TEST_FILES := $(sort $(shell find t -name '*.t' -not -path 't/browser/*'))
endif

TEST_ENVIRONMENT = TEST_NGINX_BINARY='$(abspath $(or $(TEST_NGINX_BINARY),$(BINARY)))' \
    CK_DEFAULT_TIMEOUT=60 CK_TAP_LOG_FILE_NAME=- CK_VERBOSITY=silent $(SANITIZER_ENVIRONMENT)

ifneq ($(SANITIZER),)
SANITIZER_ENVIRONMENT = CK_TIMEOUT_MULTIPLIER=5 TEST_NGINX_SLOW=3 \
    ASAN_OPTIONS=$${ASAN_OPTIONS:-detect_leaks=0:abort_on_error=1} \
    UBSAN_OPTIONS=$${UBSAN_OPTIONS:-print_stacktrace=1} \
    TSAN_OPTIONS=$${TSAN_OPTIONS:-halt_on_error=1}
endif

PROVE = PERL5LIB='$(CURDIR)/t/lib' prove -j$(JOBS) --formatter Bulan::Test::Formatter

run: packages-build ## build and start on http://localhost:8080/ (installs what is missing)
	@$(MAKE) --no-print-directory all
	@tools/run bin/bulan

check: packages-build packages-check ## build and run every test; T=t/http/foo.t runs one
	@$(MAKE) --no-print-directory test
	+@$(if $(T),,$(MAKE) --no-print-directory kqueue)

test: $(if $(TEST_FILES),$(BINARY)) $(TEST_PROGRAMS) # what check does, without looking for packages
	@$(TEST_ENVIRONMENT) $(PROVE) $(TEST_PROGRAMS) $(TEST_FILES)

# Scripts drive the browser by a library that npm gives, in the version of the lock file.
check-browser: packages-build packages-check packages-browser build/browser/installed ## the tests that need a browser, t/browser
	@BROWSER_MODULES='$(CURDIR)/build/browser/node_modules' $(MAKE) --no-print-directory test T='$(or $(T),t/browser)'

build/browser/installed: t/browser/package.json t/browser/package-lock.json t/browser/.npmrc | packages-browser
	@mkdir -p $(@D)
	@echo "NPM   $(@D)"
	@cp $^ $(@D)
	@cd $(@D) && npm ci --loglevel=error
	@touch $@

packages-%:
	@tools/packages $*

# Prints TAP as it runs (see TEST_ENVIRONMENT).
$(BUILD)/unit/%: t/unit/%.c $(BUILD)/libbulan.a $(BUILD)/command | build/config.h
	@mkdir -p $(@D)
	@echo "UNIT  $<"
	@$(COMPILE) -It/unit -MMD -MP -MF $@.d $(LDFLAGS) $(LD_OPT) -o $@ $< \
	    $(WHOLE) $(BUILD)/libbulan.a $(WHOLE_END) $(LIBS) $$(pkg-config --libs check)

# Functions that only the FFI calls must be in the program too.
$(BUILD)/unit/lua/%: WHOLE := -Wl,--whole-archive
$(BUILD)/unit/lua/%: WHOLE_END := -Wl,--no-whole-archive

VARIANT = $(MAKE) --no-print-directory test

asan: packages-build packages-check ## the tests with the address and undefined-behaviour sanitizers
	+@$(VARIANT) BUILD=build-asan SANITIZER=address,undefined
ubsan: packages-build packages-check ## the tests with the undefined-behaviour sanitizer alone
	+@$(VARIANT) BUILD=build-ubsan SANITIZER=undefined
tsan: packages-build packages-check ## the tests with the thread sanitizer
	+@$(VARIANT) BUILD=build-tsan SANITIZER=thread

# The backend for BSD and macOS on a stand-in for kqueue(2); no more of the house than it needs.
kqueue: ## the event loop's tests with kqueue
	+@$(VARIANT) BUILD=build-kqueue ROOMS='core os conf event' EXTRA_SOURCES=t/kqueue/kqueue.c \
	    EXTRA_CPPFLAGS='-It/kqueue -DBL_HAVE_KQUEUE=1 -DBL_HAVE_EPOLL=0' \
	    T='t/unit/event/test_loop.c t/unit/event/test_timer.c t/unit/event/test_resolver.c'

cover: packages-build packages-check ## the tests, then the share of lines they reach, file by file
	@mkdir -p build-cover && find build-cover -name '*.gcda' -delete
	@$(MAKE) --no-print-directory BUILD=build-cover OPTIMISE='-O0 --coverage' build-cover/libbulan.a
	@find build-cover -type d -exec chmod a+rwx {} +
	-+@umask 0; $(VARIANT) BUILD=build-cover OPTIMISE='-O0 --coverage'
	@tools/cover build-cover

# ---- fuzzing ----

fuzz: packages-build packages-fuzz ## every fuzz driver and script on its corpus, FUZZ_SECONDS each (10)
	@$(MAKE) --no-print-directory bin/bulan
	@$(MAKE) --no-print-directory BUILD=build-fuzz CC=clang LTO= \
	    SANITIZER=fuzzer-no-link,address,undefined fuzz-run

FUZZ_PROGRAMS := $(FUZZ_SOURCES:t/fuzz/%.c=$(BUILD)/fuzz/%)

fuzz-run: $(FUZZ_PROGRAMS)
	@tools/fuzz $(FUZZ_SECONDS) $(FUZZ_PROGRAMS) $(FUZZ_SCRIPTS)

$(BUILD)/fuzz/%: t/fuzz/%.c t/fuzz/fuzz.h $(BUILD)/libbulan.a | build/config.h
	@mkdir -p $(@D)
	@echo "FUZZ  $<"
	@$(COMPILE) -fsanitize=fuzzer $(LDFLAGS) -o $@ $< $(BUILD)/libbulan.a $(LIBS)

# ---- style, papers, measures ----

FORMATTED = $$(git ls-files '*.c' '*.h')

lint: packages-lint ## formatting, layering, sizes of functions and files, blanks
	@tools/lint
format: packages-lint ## clang-format on every C file
	@clang-format -i $(FORMATTED)
doc: ## doc/lualib/, a page for each Lua library; build/doc/, an index of the code in C
	@tools/luadoc
	@tools/doc build/doc
bench: $(BINARY) ## the comparison with other servers
	@bench/run $(BINARY)

compile_commands.json: config.mk $(SOURCES) ## for editors and clang tools
	@{ echo '['; for source in $(SOURCES) $(UNIT_SOURCES); do \
	    printf '{"directory": "%s", "file": "%s", "command": "%s"},\n' '$(CURDIR)' "$$source" \
	        "$$(echo '$(subst ','\'',$(COMPILE)) -It/unit -c '"$$source" | sed 's/[\\"]/\\&/g')"; \
	done; echo '{}]'; } | sed 'N;$$!P;$$!D;s/},\n{}]/}\n]/' >$@

# ---- installation ----

INSTALL_CONF := $(if $(filter /%,$(CONF_PATH)),$(CONF_PATH),$(PREFIX)/$(CONF_PATH))
INSTALL_CONF_DIR := $(dir $(INSTALL_CONF))

install: all ## into PREFIX, below DESTDIR; a nginx.conf that is there stays
	install -d '$(DESTDIR)$(dir $(SBIN_PATH))' '$(DESTDIR)$(INSTALL_CONF_DIR)' '$(DESTDIR)$(PREFIX)/html' \
	    '$(DESTDIR)$(PREFIX)/logs' '$(DESTDIR)$(PREFIX)/lualib' '$(DESTDIR)$(PREFIX)/man/man8'
	install -m 755 bin/bulan '$(DESTDIR)$(SBIN_PATH)'
	install -m 644 conf/mime.types '$(DESTDIR)$(INSTALL_CONF_DIR)'
	install -m 644 conf/nginx.conf '$(DESTDIR)$(INSTALL_CONF).default'
	[ -e '$(DESTDIR)$(INSTALL_CONF)' ] || install -m 644 conf/nginx.conf '$(DESTDIR)$(INSTALL_CONF)'
	install -m 644 html/*.html '$(DESTDIR)$(PREFIX)/html'
	cp -R lualib/. '$(DESTDIR)$(PREFIX)/lualib'
	install -m 644 man/bulan.8 '$(DESTDIR)$(PREFIX)/man/man8'

clean: ## removes what was built, in every variant
	rm -rf bin build build-* compile_commands.json

help: ## this list
	@sed -n 's/^\([a-z_.]*\):.*\#\# \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 30

.PHONY: all run check check-browser test install clean asan ubsan tsan kqueue fuzz fuzz-run cover bench lint doc format help
.DELETE_ON_ERROR:
