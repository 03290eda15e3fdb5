/// The tracer process: what runs behind the hidden verb `tracer`, with `--pid PID` behind it and
/// the descriptors that `lr_tracer` hands down. The result is the process's exit status.
pub fn tracer_main() -> i32 {
    let args: Vec<String> = std::env::args().skip(2).collect();
    let pid = match args.as_slice() {
        [option, pid] if option == "--pid" => pid.parse().ok(),
        _ => None,
    };
    let Some(pid) = pid else {
        eprintln!("this verb is for lr itself");
        return 2;
    };
    match lr_tracer::tracer_main(pid) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}
