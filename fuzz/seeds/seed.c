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
// Optimised, the first ends with a call to the second.
__attribute__((noinline)) int last(int n) {
    return n * values[n & 3];
}
__attribute__((noinline)) int before_last(int n) {
    global += n;
    return last(n + 1);
}
void _start(void) {
    struct shape shape = {"square", 4, 1};
    global = work(&shape, global);
    global += before_last(global);
    for (;;) {
    }
}
