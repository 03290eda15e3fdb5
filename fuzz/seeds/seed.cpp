namespace zoo {
struct Shape {
    const char *name = "square";
    double side = 2;
    virtual double area() const { return side * side; }
    ~Shape() { side = 0; }
};
struct Round : Shape {
    double area() const override { return side * 3; }
};
} // namespace zoo
template <class T> __attribute__((noinline)) T work(const zoo::Shape &shape, T n) {
    T total = n;
    for (int i = 0; i < 3; i++)
        total += static_cast<T>(shape.area());
    auto twice = [&](T x) { return x * 2 + total; };
    return twice(n);
}
// What the library has elsewhere; never called.
extern "C" {
int __gxx_personality_v0;
void _Unwind_Resume() {}
}
int global;
extern "C" void _start() {
    zoo::Round round;
    global = work<int>(round, 3);
    global += static_cast<int>(work<double>(round, 1.5));
    for (;;) {
    }
}
