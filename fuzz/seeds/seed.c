struct shape {
    const char *name;
    int sides;
    unsigned filled : 1;
};
int global = 3;
static int values[4] = {1, 2, 3, 4};
static inline int inner(int n) {
    int half = n / 2;
    return half * global;
}
__attribute__((noinline)) int work(struct shape *shape, int n) {
    int total = shape->sides;
    for (int i = 0; i < n; i++)
        total += inner(values[i & 3]);
    switch (n) {
    case 1: return total;
    case 2: return total + n;
    case 3: return total * n;
    case 4: return total - 1;
    case 5: return total / n;
    default: return total ^ n;
    }
}
void _start(void) {
    struct shape shape = {"square", 4, 1};
    global = work(&shape, global);
    for (;;) {
    }
}
