//! Finds a location in a file and says what it took: `locate FILE LOCATION`.

use std::path::Path;
use std::time::Instant;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let file = Path::new(&args[1]);
    let location = lr_dwarf::Location::parse(&args[2]).unwrap();
    let begin = Instant::now();
    let binary = lr_dwarf::Binary::open(std::fs::File::open(file).unwrap(), file).unwrap();
    let opened = begin.elapsed();
    let resolved = binary.resolve_all(&location);
    let found = begin.elapsed();
    match resolved {
        Ok(resolved) => {
            println!("{} places", resolved.places.len());
            for place in resolved.places.iter().take(5) {
                println!("{:#x} {} {}:{}", place.addr.0, place.function, place.file, place.line);
            }
        }
        Err(error) => println!("{}: {error} {:?}", error.code(), error.suggestions()),
    }
    println!("open {opened:?} resolve {found:?}");
    for line in std::fs::read_to_string("/proc/self/status").unwrap().lines() {
        if line.starts_with("VmHWM") || line.starts_with("Rss") {
            println!("{line}");
        }
    }
}
