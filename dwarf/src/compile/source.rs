/// What is asked at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source<'a> {
    /// An expression; only hits where it holds count.
    pub condition: Option<&'a str>,
    pub wanted: Wanted<'a>,
}

/// What to keep of a hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted<'a> {
    /// A message with fields.
    Template(&'a str),
    /// A counter, or a metric of the value of an expression.
    ///
    /// The record's fields are the group where there is one, whose bytes are its identity, and
    /// then, where there is a value, the bits of its `f64` as one word.
    Number {
        value: Option<&'a str>,
        by: Option<&'a str>,
    },
    /// Nothing but the condition.
    Nothing,
}
