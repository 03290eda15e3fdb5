use std::collections::VecDeque;

/// One event is bounded by what an agent may send in one message; this is far beyond it.
const EVENT_LIMIT: usize = 4 << 20;

/// Reads the `data` of server-sent events out of a stream that is cut anywhere
/// (<https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>).
#[derive(Default, Debug)]
pub(super) struct SseParser {
    line: Vec<u8>,
    /// The previous byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    data: Option<Vec<u8>>,
    events: VecDeque<Vec<u8>>,
}

/// An event or a line is longer than any that a server sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a live event longer than {EVENT_LIMIT} bytes")]
pub(super) struct TooLong;

impl SseParser {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        for &byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => self.end_line()?,
                _ if self.line.len() == EVENT_LIMIT => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    /// The data of the oldest event that is complete and has any.
    pub(super) fn next_event(&mut self) -> Option<Vec<u8>> {
        self.events.pop_front()
    }

    fn end_line(&mut self) -> Result<(), TooLong> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            self.events.extend(self.data.take());
            return Ok(());
        }
        let Some(value) = data_of(&line) else {
            return Ok(());
        };
        match &mut self.data {
            None => self.data = Some(value.to_vec()),
            Some(data) if data.len() + value.len() >= EVENT_LIMIT => return Err(TooLong),
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
        }
        Ok(())
    }
}

/// The value of a `data` line; comments and other fields have none.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(parser: &mut SseParser) -> Vec<String> {
        std::iter::from_fn(|| parser.next_event())
            .map(|data| String::from_utf8(data).unwrap())
            .collect()
    }

    /// The same events wherever the stream is cut.
    fn check(stream: &str, expected: &[&str]) {
        for cut in 0..=stream.len() {
            let mut parser = SseParser::default();
            let (head, tail) = stream.as_bytes().split_at(cut);
            parser.push(head).unwrap();
            let mut seen = events(&mut parser);
            parser.push(tail).unwrap();
            seen.extend(events(&mut parser));
            assert_eq!(seen, expected, "cut at {cut}");
        }
    }

    #[test]
    fn events_end_with_an_empty_line() {
        check("data: a\n\ndata: b\n\ndata: not yet\n", &["a", "b"]);
    }

    #[test]
    fn comments_and_other_fields_are_passed_over() {
        check(
            ": lease\n\n:\n\nevent: x\nid: 1\ndata: a\nretry: 3\n\ndatabase: b\n\n",
            &["a"],
        );
    }

    #[test]
    fn every_line_end_is_one() {
        check("data: a\r\n\r\ndata: b\r\rdata: c\n\n", &["a", "b", "c"]);
    }

    #[test]
    fn lines_of_one_event_are_joined_and_one_space_is_dropped() {
        check("data:a\ndata:  b\ndata\n\n", &["a\n b\n"]);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut parser = SseParser::default();
        parser.push(b"data: ").unwrap();
        let piece = vec![b'x'; EVENT_LIMIT];
        assert_eq!(parser.push(&piece), Err(TooLong));
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut parser = SseParser::default();
        let line = [b"data: ".as_slice(), &vec![b'x'; EVENT_LIMIT / 2], b"\n"].concat();
        parser.push(&line).unwrap();
        assert_eq!(parser.push(&line), Err(TooLong));
    }
}
