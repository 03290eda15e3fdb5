#![no_main]
//! Encoded programs: what is accepted runs to its end within its budget, and is encoded alike.

use libfuzzer_sys::fuzz_target;
use lr_probe::{Budget, Context, Fields, Outcome, Program, Registers, run};

fuzz_target!(|bytes: &[u8]| {
    let Ok((program, rest)) = Program::decode(bytes) else {
        return;
    };
    let mut encoded = Vec::new();
    program.encode(&mut encoded);
    let used = bytes.len() - rest.len();
    let (again, _) = Program::decode(&encoded).expect("what was encoded is sound");
    assert_eq!(again, program);
    assert_eq!(encoded.len(), used);
    let mut buffer = [0; 1024];
    let outcome = run(
        &program,
        &Registers::default(),
        &Context::default(),
        &mut lr_fuzz::Repeated(rest),
        Budget { bytes: 4096 },
        &mut buffer,
    );
    if let Outcome::Matched { bytes } = outcome {
        let mut fields = Fields::new(&buffer[..bytes]);
        for _ in 0..64 {
            fields.next(|_| {});
        }
    }
});
