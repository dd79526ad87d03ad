/*
 * A main for the fuzz targets where there is no libFuzzer: runs the target over the files of the
 * folders given, each in a block of its own length, and over every beginning of each.
 */
#include <dirent.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static void run(const uint8_t *data, size_t size)
{
    for (size_t len = 0; len <= size; len++) {
        uint8_t *copy = malloc(len ? len : 1);

        if (!copy)
            abort();
        memcpy(copy, data, len);
        (void)LLVMFuzzerTestOneInput(copy, len); /* 0 by its contract */
        free(copy);
    }
}

static int run_file(const char *folder, const char *name)
{
    static uint8_t data[64 * 1024];
    char path[4096];
    size_t len;
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return -1;
    }
    len = fread(data, 1, sizeof(data), f);
    fclose(f);
    run(data, len);
    return 0;
}

/* How many files of the folder were run, -1 when one can't be read. */
static int run_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int n = 0;

    if (!dir) {
        perror(folder);
        return -1;
    }
    while (n >= 0 && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            n = run_file(folder, entry->d_name) < 0 ? -1 : n + 1;
    closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    int n = 0;

    for (int i = 1; i < argc; i++) {
        int r = run_folder(argv[i]);

        if (r < 0)
            return 1;
        n += r;
    }
    printf("%d inputs\n", n);
    return n > 0 ? 0 : 1; /* a corpus that went missing is a failure */
}
