use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use super::kept;
use crate::fidelity::program::Program;
use crate::{debian, interrupt};

/// A C program of clang's, with a thread for each job.
pub(super) fn recipe() -> Result<Program> {
    let source = debian::source("libzstd", &kept("zstd")?)?;
    let built = source.join("programs/zstd");
    if !built.is_file() {
        eprintln!("building zstd from Debian's source package");
        let mut make = Command::new("make");
        make.arg("-j2")
            .arg("-C")
            .arg(source.join("programs"))
            .args(["CC=clang-14", "CFLAGS=-O2 -g -w", "HAVE_LZMA=0"])
            .args(["HAVE_LZ4=0", "HAVE_ZLIB=0", "zstd"])
            .stdout(Stdio::null());
        let status = interrupt::run(&mut make)?;
        ensure!(status.success(), "building zstd ended with {status}");
    }
    let folder = kept("zstd-work")?;
    let mut program = Program::new("zstd-clang", &built);
    let source = source.display();
    // Each level has its own way to look for matches.
    program.commands = vec![
        format!("-b1 -e9 -i0 {source}/lib/common/huf.h"),
        format!(
            "-T2 -f -9 --long --rsyncable --auto-threads=logical {source}/lib/libzstd.a -o a.zst"
        ),
        "-f -d -T2 -v a.zst -o a".to_owned(),
        format!("-b10 -e19 -i0 {source}/lib/common/zstd_internal.h"),
        format!("-r --train {source}/lib/compress --maxdict=16KB -o dictionary -f"),
        format!("-r --train-fastcover {source}/lib -o dictionary -f"),
        format!("-D dictionary -f -3 --adapt -T2 {source}/lib/compress/zstd_compress.c -o b.zst"),
        "-D dictionary -l -v b.zst a.zst".to_owned(),
        format!("-b1 -e3 -i0 -D dictionary {source}/lib/compress/zstd_opt.c"),
        format!("-f --ultra -22 --patch-from={source}/lib/zstd.h {source}/lib/zstd.h -o c.zst"),
    ];
    program.repeatable = vec![
        format!("-T2 -c -5 {source}/lib/compress/zstd_compress.c"),
        format!("-T2 -c -17 {source}/lib/compress/zstd_opt.c"),
        format!("-T2 -c -9 --long=22 --rsyncable {source}/lib/zstd.h"),
    ];
    program.folder = folder;
    Ok(program)
}
