//! The index beside a slow walk over all DIEs that knows nothing of plans and threads.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use lr_fixtures::Fixture;

use super::{Kind, NameIndex};
use crate::binary::Binary;
use crate::find::DebugFiles;
use crate::info::{Die, DieRef, Info, bare_name};

type Known = BTreeSet<(String, Kind, DieRef)>;

fn open(file: &Path) -> Binary {
    let opened = std::fs::File::open(file).unwrap();
    Binary::open_with(opened, file, &DebugFiles::none()).unwrap()
}

/// Every function, variable and type, and every inlined copy with the function that it refers to.
fn slow_walk(info: &Info<'_>) -> (Known, BTreeSet<(DieRef, DieRef)>) {
    let (mut known, mut inlined) = (Known::new(), BTreeSet::new());
    for unit in info.all_units() {
        let data = info.unit(unit).unwrap();
        let mut entries = data.entries();
        let mut function: Option<isize> = None;
        while let Some(entry) = entries.next_dfs().unwrap() {
            if function.is_some_and(|function| entry.depth() <= function) {
                function = None;
            }
            let offset = entry.offset().0;
            let at = DieRef { unit, offset };
            let die = Die {
                at,
                entry: entry.clone(),
            };
            let has = |name| die.attr(name).is_some();
            let has_code = has(gimli::DW_AT_low_pc) || has(gimli::DW_AT_ranges);
            let has_place = has(gimli::DW_AT_location) || has(gimli::DW_AT_const_value);
            let is_inside = function.is_some();
            let kind = match die.tag() {
                gimli::DW_TAG_subprogram => {
                    function = function.or(Some(entry.depth()));
                    Some(if has_code { Kind::Code } else { Kind::Abstract })
                }
                gimli::DW_TAG_variable if is_inside => None,
                gimli::DW_TAG_variable if has_place => Some(Kind::Variable),
                gimli::DW_TAG_variable => Some(Kind::Trace),
                gimli::DW_TAG_structure_type
                | gimli::DW_TAG_class_type
                | gimli::DW_TAG_union_type
                | gimli::DW_TAG_enumeration_type
                | gimli::DW_TAG_typedef => Some(Kind::Type),
                gimli::DW_TAG_inlined_subroutine if has_code => {
                    let function = info.follow(&die, gimli::DW_AT_abstract_origin);
                    inlined.extend(function.map(|function| (at, function)));
                    None
                }
                _ => None,
            };
            let kind = kind.filter(|_| !die.flag(gimli::DW_AT_declaration));
            let origins = info.origins(at).unwrap();
            let name = origins.iter().find_map(|die| info.own_name(die));
            if let (Some(kind), Some(name)) = (kind, name) {
                known.insert((bare_name(&name).to_owned(), kind, at));
            }
        }
    }
    (known, inlined)
}

fn indexed(index: &NameIndex) -> Known {
    let all = index.all().flat_map(|(name, entries)| {
        let name = String::from_utf8(name.to_vec()).unwrap();
        entries.map(move |entry| (name.clone(), entry.kind, entry.die))
    });
    all.collect()
}

/// How many functions with code there are, and how many of their copies, so that a test knows
/// that it has seen some.
fn check(file: &Path) -> (usize, usize) {
    let binary = open(file);
    let info = Info::new(&binary).unwrap();
    let index = binary.names(&info);
    let (known, inlined) = slow_walk(&info);
    let found = indexed(index);
    let missing: Vec<_> = known.difference(&found).collect();
    assert!(missing.is_empty(), "{}: {missing:#?}", file.display());
    let invented: Vec<_> = found.difference(&known).collect();
    assert!(invented.is_empty(), "{}: {invented:#?}", file.display());
    // A DIE is among the candidates for its own qualified name.
    for (_, kind, die) in known.iter().step_by(3) {
        let name = info.qualified_name(*die).unwrap();
        // What Rust's symbols call closures and shims, whose DIEs are called something else, and
        // vtables, to which rustc gives a whole path for a name: nobody writes these.
        if ["{{", "{vtable", "{shim:"]
            .iter()
            .any(|odd| name.contains(odd))
        {
            continue;
        }
        let candidates = index.candidates(&name, *kind);
        assert!(
            candidates.contains(die),
            "{}: {name} {die:?}",
            file.display()
        );
    }
    let functions: Vec<DieRef> = known
        .iter()
        .filter(|(_, kind, _)| matches!(kind, Kind::Code | Kind::Abstract))
        .map(|&(_, _, die)| die)
        .collect();
    let copies: BTreeSet<_> = index
        .inlined(&binary, &info, &functions)
        .into_iter()
        .collect();
    let lost: Vec<_> = inlined.symmetric_difference(&copies).collect();
    assert!(lost.is_empty(), "{}: {lost:#?}", file.display());
    let with_code = known.iter().filter(|(_, kind, _)| *kind == Kind::Code);
    (with_code.count(), inlined.len())
}

fn has_some((functions, inlined): (usize, usize)) {
    assert!(functions > 0 && inlined > 0, "{functions} {inlined}");
}

#[test]
fn of_c() {
    for name in ["values.c", "orders.c", "loops.c"] {
        check(&Fixture::c(name).build());
    }
    has_some(check(&Fixture::c("values.c").opt('2').build()));
    has_some(check(
        &Fixture::c("values.c").opt('2').flag("-gdwarf-3").build(),
    ));
    has_some(check(
        &Fixture::c("values.c").opt('2').flag("-gdwarf-4").build(),
    ));
}

#[test]
fn of_cpp() {
    for name in ["values.cpp", "orders.cpp", "loops.cpp"] {
        check(&Fixture::cpp(name).build());
    }
    has_some(check(&Fixture::cpp("orders.cpp").opt('2').build()));
    let types = Fixture::cpp("values.cpp").flag("-fdebug-types-section");
    check(&types.clone().build());
    has_some(check(&types.opt('2').flag("-gdwarf-4").build()));
}

#[test]
fn of_rust() {
    check(&Fixture::rust("loops.rs").build());
    has_some(check(&Fixture::rust("orders.rs").opt('2').build()));
}

/// Link-time optimisation refers from unit to unit.
#[test]
fn of_link_time_optimisation() {
    has_some(check(
        &Fixture::cpp("values.cpp").opt('2').flag("-flto").build(),
    ));
}

/// dwz moves what units share to units of their own, which others import.
#[test]
fn of_dwz() {
    let Ok(dwz) = Command::new("dwz").arg("--version").output() else {
        return;
    };
    assert!(dwz.status.success());
    let exe = Fixture::rust("orders.rs").opt('2').build();
    let packed = std::env::temp_dir().join(format!("lr-index-dwz-{}", std::process::id()));
    let made = Command::new("dwz").arg("-o").args([&packed, &exe]).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{made:?}");
    let counts = check(&packed);
    std::fs::remove_file(&packed).unwrap();
    has_some(counts);
}
