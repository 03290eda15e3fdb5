//! What faults, faults as if nobody watched.

use lr_fixtures::{Fixture, Target};
use lr_tracer::{ResumeKind, Slot};

use crate::image::{Image, action, site, tracer};

/// Signals tell where they come from: of what is stepped elsewhere, that would be wrong.
pub(crate) fn a_fault_is_the_targets_own() {
    let program = Fixture::c("faults.c").build();
    let mut target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    target.send("go");
    let undisturbed = target.line();
    assert!(!undisturbed.contains("elsewhere"), "{undisturbed}");

    let names = ["divides", "stores", "misuses"];
    let addresses = names.map(|name| image.function(name).0);
    let plans = addresses.map(|address| image.plan(address, &addresses).unwrap());
    let kinds = plans.each_ref().map(|plan| plan.resume());
    use ResumeKind::{Borrow, Twin};
    assert_eq!(kinds, [Twin, Twin, Borrow]);
    let mut tracer = tracer(&target);
    tracer
        .arm(&action(0, plans.into_iter().map(site).collect()))
        .unwrap();
    for round in 1..=20 {
        target.send("go");
        assert_eq!(target.line(), undisturbed);
        assert_eq!(tracer.counters(Slot(0)).hits, 3 * round);
    }
    let released = tracer.release().unwrap();
    assert_eq!((released.restored, released.foreign), (3, 0));
    target.assert_clean();
    target.send("go");
    assert_eq!(target.line(), undisturbed);
}

/// As it is done where there is a shadow stack, which a return has to look at itself.
pub(crate) fn a_return_may_be_stepped() {
    use lr_tracer::Circumstances;
    let program = Fixture::c("counted.c").opt('2').build();
    let mut target = Target::spawn(&program, ["4", "300"]);
    let image = Image::of(&program, target.pid());
    target.send("go");
    let undisturbed = target.line();
    let circumstances = Circumstances {
        shadow_stacks: true,
        ..Circumstances::default()
    };
    let sites: Vec<_> = image
        .instructions("step")
        .into_iter()
        .filter(|&address| image.is_return(address))
        .map(|address| site(image.plan_under(circumstances, address, &[]).unwrap()))
        .collect();
    assert!(
        sites
            .iter()
            .all(|site| site.site.resume() == ResumeKind::Twin)
    );
    assert!(!sites.is_empty());
    let mut tracer = tracer(&target);
    tracer.arm(&action(0, sites)).unwrap();
    target.send("go");
    assert_eq!(target.line(), undisturbed);
    assert_eq!(tracer.counters(Slot(0)).hits, 4 * 300);
    tracer.release().unwrap();
    target.assert_clean();
}
