//! What an expression reads behind pointers: elements, slices and texts, in memory that may not be
//! there.

use super::{BASE, BYTES, Dialect, Number, Random, Tree, Type, Why, both, compared};

const INTS: usize = 48;
const TEXT: usize = 64;
const OTHER: usize = 80;
const WORD: usize = 96;
const WORD_BYTES: u64 = 8;
const ARRAY: usize = 104;
const ARRAY_COUNT: u64 = 4;
/// Where the structure ends and what is pointed to begins: numbers, then texts.
pub(super) const HEAP: usize = 120;
const HEAP_TEXTS: usize = HEAP + 64;

#[derive(Debug)]
pub(super) enum Elsewhere {
    Element(Row, Tree),
    SliceElement(Row, Range, Tree),
    SliceLength(Row, Range),
    /// `*(p + n)`, of C.
    Follow(Tree),
    /// `(p + n) - (p + m)`, of C.
    Distance(Tree, Tree),
    /// `(p + n) < (p + m)`, of C.
    Order(&'static str, Tree, Tree),
    /// `p == null`, of C.
    IsNull,
    Compare(&'static str, Text, Text),
    TextLength(Text),
}

/// Numbers of 32 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Row {
    /// As many as the type says.
    Array,
    /// Behind a pointer, without end in C.
    Ints,
}

#[derive(Debug)]
pub(super) struct Range {
    begin: Tree,
    end: Tree,
    inclusive: bool,
}

#[derive(Debug)]
pub(super) enum Text {
    Literal(&'static str),
    Member(Member),
    Slice(Member, Range),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Member {
    Text,
    Other,
    Word,
}

/// Elements at an address; `None` where nothing tells how many.
#[derive(Clone, Copy)]
struct Span {
    address: u64,
    length: Option<u64>,
}

/// Bytes that a length or a NUL ends.
enum Bytes {
    Here(&'static [u8]),
    There { span: Span, ends_at_nul: bool },
}

impl Elsewhere {
    pub(super) fn text(&self, dialect: Dialect) -> String {
        let of = |tree: &Tree| tree.text(dialect);
        match self {
            Elsewhere::Element(row, index) => format!("{}[{}]", row.text(), of(index)),
            Elsewhere::SliceElement(row, range, index) => {
                format!("{}[{}][{}]", row.text(), range.text(dialect), of(index))
            }
            Elsewhere::SliceLength(row, range) => {
                format!("len({}[{}])", row.text(), range.text(dialect))
            }
            Elsewhere::Follow(by) => format!("(*(order.ints + {}))", of(by)),
            Elsewhere::Distance(a, b) => {
                format!("((order.ints + {}) - (order.ints + {}))", of(a), of(b))
            }
            Elsewhere::Order(sign, a, b) => {
                format!("((order.ints + {}) {sign} (order.ints + {}))", of(a), of(b))
            }
            Elsewhere::IsNull => "(order.ints == null)".to_owned(),
            Elsewhere::Compare(sign, a, b) => {
                format!("({} {sign} {})", a.text(dialect), b.text(dialect))
            }
            Elsewhere::TextLength(text) => format!("len({})", text.text(dialect)),
        }
    }

    pub(super) fn value(&self, memory: &[u8], dialect: Dialect) -> Result<Number, Why> {
        let ints = word(memory, INTS);
        let moved = |by: &Tree| -> Result<u64, Why> {
            let by = offset(by, memory, dialect)?;
            Ok(ints.wrapping_add(by.wrapping_mul(4)))
        };
        match self {
            Elsewhere::Element(row, index) => {
                number(row.span(memory, dialect), index, memory, dialect)
            }
            Elsewhere::SliceElement(row, range, index) => {
                let span = range.of(row.span(memory, dialect), 4, memory, dialect);
                let index_only = offset(index, memory, dialect);
                let (span, _) = both(span, index_only)?;
                number(span, index, memory, dialect)
            }
            Elsewhere::SliceLength(row, range) => {
                let span = range.of(row.span(memory, dialect), 4, memory, dialect)?;
                Ok(length(span))
            }
            Elsewhere::Follow(by) => int(memory, moved(by)?),
            Elsewhere::Distance(a, b) => {
                let (a, b) = both(moved(a), moved(b))?;
                let bytes = a.wrapping_sub(b).cast_signed();
                Ok(Number::Int(i128::from(bytes / 4), Type::I64))
            }
            Elsewhere::Order(sign, a, b) => {
                let (a, b) = both(moved(a), moved(b))?;
                Ok(Number::truth(compared(sign, a.partial_cmp(&b))))
            }
            Elsewhere::IsNull => Ok(Number::truth(ints == 0)),
            Elsewhere::Compare(sign, a, b) => {
                let (a, b) = both(a.bytes(memory, dialect), b.bytes(memory, dialect))?;
                compare(sign, &a, &b, memory)
            }
            Elsewhere::TextLength(text) => match text.bytes(memory, dialect)? {
                Bytes::Here(bytes) => Ok(Number::Int(bytes.len() as i128, Type::U64)),
                Bytes::There { span, .. } => Ok(length(span)),
            },
        }
    }
}

impl Row {
    fn text(self) -> &'static str {
        match self {
            Row::Array => "order.array",
            Row::Ints => "order.ints",
        }
    }

    fn span(self, memory: &[u8], dialect: Dialect) -> Span {
        match (self, dialect) {
            (Row::Array, _) => Span {
                address: BASE + ARRAY as u64,
                length: Some(ARRAY_COUNT),
            },
            (Row::Ints, Dialect::C) => Span {
                address: word(memory, INTS),
                length: None,
            },
            (Row::Ints, Dialect::Rust) => counted(memory, INTS),
        }
    }
}

impl Range {
    fn text(&self, dialect: Dialect) -> String {
        let (begin, end) = (self.begin.text(dialect), self.end.text(dialect));
        let equals = if self.inclusive { "=" } else { "" };
        format!("{begin}..{equals}{end}")
    }

    /// A part of elements, which ends where they do.
    fn of(&self, all: Span, size: u64, memory: &[u8], dialect: Dialect) -> Result<Span, Why> {
        let bound = |tree: &Tree| match offset(tree, memory, dialect) {
            Ok(at) if at.cast_signed() < 0 => Err(Why::UNDEFINED),
            other => other,
        };
        let (begin, end) = both(bound(&self.begin), bound(&self.end))?;
        let end = end + u64::from(self.inclusive);
        let end = all.length.map_or(end, |length| length.min(end));
        Ok(Span {
            address: all.address.wrapping_add(begin.wrapping_mul(size)),
            length: Some(end.checked_sub(begin).ok_or(Why::UNDEFINED)?),
        })
    }
}

impl Member {
    fn text(self) -> &'static str {
        match self {
            Member::Text => "order.text",
            Member::Other => "order.other",
            Member::Word => "order.word",
        }
    }

    fn span(self, memory: &[u8], dialect: Dialect) -> Span {
        let at = match self {
            Member::Word => {
                return Span {
                    address: BASE + WORD as u64,
                    length: Some(WORD_BYTES),
                };
            }
            Member::Text => TEXT,
            Member::Other => OTHER,
        };
        match dialect {
            Dialect::C => Span {
                address: word(memory, at),
                length: None,
            },
            Dialect::Rust => counted(memory, at),
        }
    }
}

impl Text {
    fn text(&self, dialect: Dialect) -> String {
        match self {
            Text::Literal(text) => format!("\"{text}\""),
            Text::Member(member) => member.text().to_owned(),
            Text::Slice(member, range) => format!("{}[{}]", member.text(), range.text(dialect)),
        }
    }

    fn bytes(&self, memory: &[u8], dialect: Dialect) -> Result<Bytes, Why> {
        let span = match self {
            Text::Literal(text) => return Ok(Bytes::Here(text.as_bytes())),
            Text::Member(member) => member.span(memory, dialect),
            Text::Slice(member, range) => {
                range.of(member.span(memory, dialect), 1, memory, dialect)?
            }
        };
        Ok(Bytes::There {
            span,
            ends_at_nul: dialect == Dialect::C,
        })
    }
}

impl Bytes {
    /// `None` where the text has ended.
    fn at(&self, index: u64, memory: &[u8]) -> Result<Option<u8>, Why> {
        match self {
            Bytes::Here(bytes) => Ok(bytes.get(usize::try_from(index).unwrap()).copied()),
            Bytes::There { span, .. } if span.length.is_some_and(|length| index >= length) => {
                Ok(None)
            }
            Bytes::There { span, ends_at_nul } => {
                let byte = read(memory, span.address.wrapping_add(index), 1)?[0];
                Ok((byte != 0 || !ends_at_nul).then_some(byte))
            }
        }
    }

    fn length(&self) -> Option<u64> {
        match self {
            Bytes::Here(bytes) => Some(bytes.len() as u64),
            Bytes::There { span, ends_at_nul } => span.length.filter(|_| !ends_at_nul),
        }
    }
}

/// By the first byte that differs; an end is before any byte.
fn compare(sign: &str, a: &Bytes, b: &Bytes, memory: &[u8]) -> Result<Number, Why> {
    // Lengths that differ tell it without a look.
    if let ("==" | "!=", Some(left), Some(right)) = (sign, a.length(), b.length())
        && left != right
    {
        return Ok(Number::truth(sign == "!="));
    }
    for index in 0.. {
        let (left, right) = both(a.at(index, memory), b.at(index, memory))?;
        if left != right || left.is_none() {
            return Ok(Number::truth(compared(sign, Some(left.cmp(&right)))));
        }
    }
    unreachable!("memory ends")
}

fn counted(memory: &[u8], at: usize) -> Span {
    Span {
        address: word(memory, at),
        length: Some(word(memory, at + 8)),
    }
}

fn length(span: Span) -> Number {
    Number::Int(i128::from(span.length.unwrap()), Type::U64)
}

fn number(span: Span, index: &Tree, memory: &[u8], dialect: Dialect) -> Result<Number, Why> {
    let index = offset(index, memory, dialect)?;
    if span.length.is_some_and(|length| index >= length) {
        return Err(Why::UNDEFINED);
    }
    int(memory, span.address.wrapping_add(index.wrapping_mul(4)))
}

fn int(memory: &[u8], address: u64) -> Result<Number, Why> {
    let bytes = read(memory, address, 4)?;
    let value = i32::from_le_bytes(bytes.try_into().unwrap());
    Ok(Number::Int(i128::from(value), Type::I32))
}

fn read(memory: &[u8], address: u64, bytes: usize) -> Result<&[u8], Why> {
    let skip = address.checked_sub(BASE).ok_or(Why::UNREADABLE)?;
    let skip = usize::try_from(skip).unwrap();
    let end = skip.checked_add(bytes).ok_or(Why::UNREADABLE)?;
    memory.get(skip..end).ok_or(Why::UNREADABLE)
}

fn word(memory: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(memory[at..at + 8].try_into().unwrap())
}

/// An integer as what is added to an address.
fn offset(tree: &Tree, memory: &[u8], dialect: Dialect) -> Result<u64, Why> {
    let Number::Int(value, _) = tree.value(memory, dialect)? else {
        unreachable!("indexes are integers");
    };
    let low = value.rem_euclid(1 << 64);
    Ok(u64::try_from(low).unwrap())
}

impl Random {
    /// One of a type, which C does not need to know before.
    pub(super) fn elsewhere(&mut self, dialect: Dialect, of: Option<Type>) -> Elsewhere {
        let in_c = dialect == Dialect::C;
        let row = self.one(&[Row::Array, Row::Ints]);
        let sign = self.one(&["==", "!=", "<", ">", "<=", ">="]);
        let kind = match of {
            None => self.below(9),
            Some(Type::I32) => self.below(2),
            Some(Type::U64) => self.below(2) + 2,
            Some(_) => 8,
        };
        match kind {
            0 => Elsewhere::Element(row, self.index(dialect)),
            1 => {
                let range = self.range(dialect);
                Elsewhere::SliceElement(row, range, self.index(dialect))
            }
            2 => Elsewhere::SliceLength(row, self.range(dialect)),
            3 => {
                let member = self.one(&[Member::Text, Member::Other, Member::Word]);
                let told = !in_c || member == Member::Word;
                Elsewhere::TextLength(match told && self.below(2) == 0 {
                    true => Text::Member(member),
                    false => Text::Slice(member, self.range(dialect)),
                })
            }
            4 => Elsewhere::Follow(self.index(dialect)),
            5 => Elsewhere::Distance(self.index(dialect), self.index(dialect)),
            6 => Elsewhere::Order(sign, self.index(dialect), self.index(dialect)),
            7 => Elsewhere::IsNull,
            _ => {
                let (a, b) = (self.text(dialect, true), self.text(dialect, true));
                match (&a, &b) {
                    // Bytes of Rust are no text beside a literal.
                    (Text::Literal(_), Text::Member(Member::Word)) if !in_c => {
                        Elsewhere::Compare(sign, a, Text::Member(Member::Text))
                    }
                    (Text::Member(Member::Word), Text::Literal(_)) if !in_c => {
                        Elsewhere::Compare(sign, Text::Member(Member::Text), b)
                    }
                    // Of two pointers either may be meant.
                    (
                        Text::Member(Member::Text | Member::Other),
                        Text::Member(Member::Text | Member::Other),
                    ) if in_c => Elsewhere::Compare(self.one(&["==", "!="]), a, b),
                    _ => Elsewhere::Compare(sign, a, b),
                }
            }
        }
    }

    fn text(&mut self, dialect: Dialect, literals: bool) -> Text {
        let member = self.one(&[Member::Text, Member::Other, Member::Word]);
        match self.below(3) {
            0 if literals => {
                Text::Literal(self.one(&["", "a", "ab", "aba", "b", "é", "abababab", "aaaaaaaaaa"]))
            }
            1 => Text::Slice(member, self.range(dialect)),
            _ => Text::Member(member),
        }
    }

    /// Mostly one that there may be.
    fn index(&mut self, dialect: Dialect) -> Tree {
        let whole = self.one(&super::NUMBERS[..8]);
        let tree = match dialect {
            Dialect::C => self.c(1, true),
            Dialect::Rust => self.rust(1, whole),
        };
        if self.below(4) == 0 {
            let to = self.one(&super::NUMBERS[..8]);
            return Tree::Cast(Box::new(tree), to);
        }
        let of = match dialect {
            Dialect::C => Type::I32,
            Dialect::Rust => whole,
        };
        let most = Number::Int(i128::from(self.one(&[1u8, 3, 7, 15])), of);
        Tree::Binary("&", Box::new(tree), Box::new(Tree::Literal(most)))
    }

    fn range(&mut self, dialect: Dialect) -> Range {
        Range {
            begin: self.bound(dialect),
            end: self.bound(dialect),
            inclusive: self.below(4) == 0,
        }
    }

    /// A literal that is negative would be refused, one in memory is not.
    fn bound(&mut self, dialect: Dialect) -> Tree {
        match self.below(6) {
            0 => Tree::Member(self.one(&[0, 1, 3, 4, 6, 7, 8, 9])),
            1 => self.literal(Type::I32),
            _ => loop {
                let tree = self.index(dialect);
                if let Tree::Binary(..) = tree {
                    return tree;
                }
            },
        }
    }

    pub(super) fn fill_elsewhere(&mut self, memory: &mut [u8; BYTES]) {
        for byte in &mut memory[ARRAY..HEAP_TEXTS] {
            *byte = self.one(&[0, 0, 0xff, 1, 0x80]);
        }
        for byte in &mut memory[HEAP_TEXTS..] {
            *byte = self.one(b"aaaabb\0");
        }
        for byte in &mut memory[WORD..ARRAY] {
            *byte = self.one(b"aaaabb\0");
        }
        for (at, from) in [(INTS, HEAP), (TEXT, HEAP_TEXTS), (OTHER, HEAP_TEXTS)] {
            let near = BASE + (from + 4 * self.below(16)) as u64;
            let end = BASE + (BYTES - self.below(9)) as u64;
            let wild = self.word();
            let pointer = self.one(&[near, near, near, near, end, 0, 8, wild]);
            memory[at..at + 8].copy_from_slice(&pointer.to_le_bytes());
            let length = self.one(&[0u64, 1, 2, 3, 4, 6, 8, 12, 70, 1 << 62, u64::MAX]);
            memory[at + 8..at + 16].copy_from_slice(&length.to_le_bytes());
        }
        // The same text at two places, which chance has too seldom.
        if self.below(3) == 0 {
            memory.copy_within(HEAP_TEXTS..HEAP_TEXTS + 8, WORD);
            memory.copy_within(HEAP_TEXTS..HEAP_TEXTS + 32, HEAP_TEXTS + 32);
        }
    }
}
