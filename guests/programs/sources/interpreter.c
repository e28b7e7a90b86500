/* A small language: interpreter FILE.

       n = 20                    variables are letters, numbers have 32 bits
       while n > 0 { print n * n; n = n - 1 }
       if n == 0 { say "done" } else { say "never" }
       def f { if a < 2 { r = 1 } else { a = a - 1; f; r = r + a } }     procedures are letters too
       a[3] = 7                  each letter is an array of 256 numbers as well

   Expressions: + - * / % < > == != ( ) and unary minus. A program is run as it is read. */
#include "system.h"

enum { MOST_DEPTH = 2000, CELLS = 256 };

static const char *at;
static int32_t variables[26], arrays[26][CELLS];
static const char *bodies[26];
static int depth;

static int32_t expression(void);
static void block(int active);

static void skip(void)
{
    for (;;) {
        while (*at == ' ' || *at == '\n' || *at == '\t' || *at == ';') at++;
        if (*at != '#') return;
        while (*at && *at != '\n') at++;
    }
}

static int is_letter(char c) { return c >= 'a' && c <= 'z'; }

static int takes(const char *word)
{
    size_t size = length(word);
    skip();
    if (!is_prefix(word, at) || (is_letter(*word) && is_letter(at[size]))) return 0;
    at += size;
    return 1;
}

static void expect(const char *word)
{
    if (!takes(word)) fail("expected", word);
}

static int name(void)
{
    skip();
    if (!is_letter(*at) || is_letter(at[1])) fail("expected a letter", at);
    return *at++ - 'a';
}

static int32_t *cell(int letter)
{
    int32_t index;
    if (!takes("[")) return &variables[letter];
    index = expression();
    expect("]");
    if (index < 0 || index >= CELLS) fail("no such element", 0);
    return &arrays[letter][index];
}

static int32_t atom(void)
{
    int32_t value = 0;
    skip();
    if (takes("(")) {
        value = expression();
        expect(")");
    } else if (takes("-")) {
        value = (int32_t)-(uint32_t)atom();
    } else if (*at >= '0' && *at <= '9') {
        while (*at >= '0' && *at <= '9')
            value = (int32_t)((uint32_t)value * 10 + (uint32_t)(*at++ - '0'));
    } else {
        value = *cell(name());
    }
    return value;
}

static int32_t product(void)
{
    int32_t value = atom();
    for (;;) {
        if (takes("*")) value = (int32_t)((uint32_t)value * (uint32_t)atom());
        else if (takes("/") || takes("%")) {
            int is_rest = at[-1] == '%';
            int32_t by = atom();
            if (by == 0) fail("division by zero", 0);
            value = by == -1 ? (is_rest ? 0 : (int32_t)-(uint32_t)value)
                  : is_rest ? value % by : value / by;
        } else return value;
    }
}

static int32_t sum(void)
{
    int32_t value = product();
    for (;;) {
        if (takes("+")) value = (int32_t)((uint32_t)value + (uint32_t)product());
        else if (takes("-")) value = (int32_t)((uint32_t)value - (uint32_t)product());
        else return value;
    }
}

static int32_t expression(void)
{
    int32_t value = sum();
    for (;;) {
        if (takes("<")) value = value < sum();
        else if (takes(">")) value = value > sum();
        else if (takes("==")) value = value == sum();
        else if (takes("!=")) value = value != sum();
        else return value;
    }
}

static void text(int active)
{
    expect("\"");
    const char *first = at;
    while (*at && *at != '"') at++;
    if (active) put_bytes(first, (size_t)(at - first));
    expect("\"");
    if (active) put("\n");
}

static void loop(int active)
{
    const char *head = at;
    for (;;) {
        int goes_on = expression() && active;
        block(goes_on);
        if (!goes_on) return;
        at = head;
    }
}

static void procedure(int letter, int active)
{
    const char *back = at;
    if (!active) return;
    if (!bodies[letter]) fail("no such procedure", 0);
    if (++depth > MOST_DEPTH) fail("too deep", 0);
    at = bodies[letter];
    block(1);
    at = back;
    depth--;
}

static void statement(int active)
{
    if (takes("print")) {
        int32_t value = expression();
        if (active) put_number(value), put("\n");
    } else if (takes("say")) {
        text(active);
    } else if (takes("while")) {
        loop(active);
    } else if (takes("if")) {
        int holds = expression() != 0;
        block(active && holds);
        if (takes("else")) block(active && !holds);
    } else if (takes("def")) {
        int letter = name();
        skip();
        if (active) bodies[letter] = at;
        block(0);
    } else {
        int letter = name();
        int32_t *place;
        skip();
        if (*at != '[' && (*at != '=' || at[1] == '=')) {
            procedure(letter, active);
            return;
        }
        place = cell(letter);
        expect("=");
        int32_t value = expression();
        if (active) *place = value;
    }
}

static void block(int active)
{
    expect("{");
    while (!takes("}")) {
        if (!*at) fail("a block has no end", 0);
        statement(active);
    }
}

int run(int count, char **words, char **environment)
{
    size_t size;
    (void)environment;
    at = read_whole(count > 1 ? words[1] : "-", &size);
    for (skip(); *at; skip()) statement(1);
    return 0;
}
