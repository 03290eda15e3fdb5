//! What may not be planted is refused, and nothing has been touched.

use lr_fixtures::{Fixture, Target};
use lr_tracer::TracerError;

use crate::image::{Image, at_function, tracer};

fn refusal(name: &str, function: &str) -> TracerError {
    let program = Fixture::c(name).opt('2').build();
    let target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let before = std::fs::read(&program).unwrap();
    let error = tracer(&target)
        .arm(&at_function(&image, function))
        .unwrap_err();
    assert!(
        std::fs::read(&program).unwrap() == before,
        "the file itself was written"
    );
    target.assert_goes_on();
    error
}

pub(crate) fn shared_text_is_refused() {
    let error = refusal("shared_text.c", "tick");
    assert_eq!(error.code(), "text_not_private", "{error}");
}

pub(crate) fn patched_text_is_refused() {
    let error = refusal("patched_text.c", "patched");
    assert_eq!(error.code(), "text_patched", "{error}");
}

pub(crate) fn a_traced_process_is_refused_by_name() {
    let program = Fixture::c("tight.c").opt('2').build();
    let target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let mut first = tracer(&target);
    first.arm(&at_function(&image, "process")).unwrap();
    let error = tracer(&target)
        .arm(&at_function(&image, "process"))
        .unwrap_err();
    let TracerError::AlreadyTraced { tracer: holder, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(Some(holder), first.tracer_pid());
    first.release().unwrap();
    target.assert_unharmed();
}
