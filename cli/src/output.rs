use std::io::{BufWriter, Write};
use std::thread::JoinHandle;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::failure::Failure;

/// Lines that may wait for a slow reader before we wait too.
const WAITING: usize = 1024;

/// Standard output for a stream of lines, written by a thread of its own: a reader that stops
/// reading must not keep us from hearing a signal.
#[derive(Debug)]
pub(crate) struct Output {
    lines: Sender<String>,
    writer: JoinHandle<std::io::Result<()>>,
}

impl Output {
    pub(crate) fn start() -> Output {
        let (lines, receiver) = channel(WAITING);
        let writer = std::thread::spawn(move || write_all(receiver, std::io::stdout()));
        Output { lines, writer }
    }

    /// Waits while too many lines wait. May be dropped: then the line was not taken.
    pub(crate) async fn line(&self, line: String) -> Result<(), Failure> {
        self.lines.send(line).await.map_err(|_| Failure::NoReader)
    }

    /// Writes what is left. Why a line could not be written is told here.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        drop(self.lines);
        match self.writer.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::output(&error)),
            Err(_) => Err(Failure::new("internal", "the writer of the output failed")),
        }
    }
}

/// Writes line by line, and flushes whenever none waits.
fn write_all(mut lines: Receiver<String>, output: impl Write) -> std::io::Result<()> {
    let mut output = BufWriter::new(output);
    while let Some(line) = lines.blocking_recv() {
        writeln!(output, "{line}")?;
        while let Ok(line) = lines.try_recv() {
            writeln!(output, "{line}")?;
        }
        output.flush()?;
    }
    Ok(())
}

/// Prints a whole text at once.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::output(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_in_order_to_the_end() {
        let (sender, receiver) = channel(WAITING);
        let mut written = Vec::new();
        for number in 0..100 {
            sender.try_send(number.to_string()).unwrap();
        }
        drop(sender);
        write_all(receiver, &mut written).unwrap();
        let expected: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}
