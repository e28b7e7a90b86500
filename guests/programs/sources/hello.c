/* Says hello to its arguments. */
#include "system.h"

int run(int count, char **words, char **environment)
{
    put("Hello from ring 3\n");
    for (int i = 1; i < count; i++) {
        put("Hello, ");
        put(words[i]);
        put("\n");
    }
    for (; *environment; environment++)
        if (is_prefix("GREETING=", *environment)) {
            put(*environment + 9);
            put("\n");
        }
    return count > 3 ? 7 : 0;
}
