//! Stacks of several pieces, and frames in code that is not the program's.

use lr_dwarf::{FrameKind, Stack, StackEnd};
use lr_fixtures::Fixture;

use crate::stacks::Told;

fn names<'s>(stack: &'s Stack<'_>) -> Vec<&'s str> {
    let frames = stack.frames.iter();
    frames.map(|frame| frame.function.as_str()).collect()
}

#[test]
fn stacks_that_were_switched_go_on() {
    for level in ['0', '2'] {
        let told = Told::of(&Fixture::c("switches.c").opt(level).build(), "stop");
        assert_eq!(told.stops.len(), 4);
        told.each(|stop, _, stack| {
            let names = names(stack);
            if stop == 2 {
                // To a part of the same stack: as if a frame pointer had been overwritten.
                let why = "the frame behind it is not above it".to_owned();
                assert_eq!(stack.end, StackEnd::Broken(why));
                assert_eq!(names, ["stop", "switched", "on_stack"]);
                return;
            }
            assert_eq!(stack.end, StackEnd::Bottom, "{stop} {names:?}");
            match stop {
                0..2 => assert_eq!(names[..4], ["stop", "switched", "on_stack", "main"]),
                _ => {
                    // The restorer has no unwind table; it is known by its code.
                    assert_eq!(names[..3], ["stop", "on_signal", "bare_restorer"]);
                    assert_eq!(stack.frames[2].kind, FrameKind::Signal);
                    assert!(names.contains(&"interrupted"), "{names:?}");
                    assert!(names.contains(&"main"), "{names:?}");
                }
            }
        });
    }
}

#[test]
fn in_the_vdso_and_in_stubs_of_the_linker() {
    for lazy in ["-Wl,-z,lazy", "-Wl,-z,now"] {
        let program = Fixture::c("switches.c").opt('2').flag(lazy).build();
        let places = "*__vdso_clock_gettime *'clock_gettime@plt' *_dl_runtime_resolve_xsavec+20";
        let told = Told::of(&program, places);
        assert!(told.stops.len() > 1, "{lazy}");
        let mut seen = Vec::new();
        told.each(|stop, _, stack| {
            let names = names(stack);
            assert_eq!(stack.end, StackEnd::Bottom, "{lazy} {stop} {names:?}");
            assert!(names.contains(&"main"), "{lazy} {stop} {names:?}");
            seen.push(stack.frames[0].module.display().to_string());
        });
        assert!(seen.iter().any(|module| module == "[vdso]"), "{seen:?}");
        let own = program.display().to_string();
        assert!(seen.contains(&own), "{seen:?}");
    }
}
