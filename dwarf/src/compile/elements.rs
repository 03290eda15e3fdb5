use lr_probe::{Op, Reason};

use super::code::Code;
use super::eval::Evaluator;
use super::scope::Scope;
use super::stop::{Result, Stop};
use super::storage::Storage;
use super::value::{At, Value, inner_array};
use crate::expr::{Expr, Range};
use crate::types::{Container, Shape, Target, Type};

/// Elements one behind the other: what can be indexed and sliced.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Elements {
    /// Code that pushes the address of the first one.
    pub(crate) first: Code,
    /// Code that pushes how many there are; `None` where nothing tells, as behind C's pointers.
    pub(crate) length: Option<Code>,
    pub(crate) element: Type,
    pub(crate) text: Text,
}

/// Elements that lie here and there, of a deque: each is found by its index.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Spread {
    of: Value,
    container: Container,
    /// The index of the first one.
    begin: Code,
    pub(crate) length: Code,
}

/// Whether elements are text, and where that ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Text {
    No,
    /// Where its length says so.
    Counted,
    /// At a NUL.
    Ended,
}

impl Scope<'_> {
    /// The container that a value is, if it is one.
    pub(crate) fn container_of(&self, value: &Value) -> Result<Option<Container>> {
        match value.of.shape {
            Shape::Struct { die, .. } => Ok(self.info.container(die)?),
            _ => Ok(None),
        }
    }

    /// A value as elements that lie one behind the other; `None` where they do not.
    pub(crate) fn elements(&self, value: &Value) -> Result<Option<Elements>> {
        if let At::Elements(elements) = &value.at {
            return Ok(Some((**elements).clone()));
        }
        if let Some(container) = self.container_of(value)? {
            return self.elements_of(value, container);
        }
        let no_address = || Stop::unsupported("an array that is not in memory here");
        Ok(match &value.of.shape {
            Shape::Array { element, counts } => {
                let At::Stored(Storage::Memory(first)) = &value.at else {
                    return Err(no_address());
                };
                let inner = inner_array(&self.info.target(element)?, element, counts);
                let is_text = self.is_char_of_c(&inner);
                Some(Elements {
                    first: first.clone(),
                    // An array without bounds at the end of a structure is as long as it is.
                    length: counts
                        .first()
                        .copied()
                        .flatten()
                        .filter(|&count| count > 0)
                        .map(Code::constant),
                    element: inner,
                    text: if is_text { Text::Ended } else { Text::No },
                })
            }
            Shape::Pointer { target, .. } => {
                let element = self.info.target(target)?;
                let is_text = self.is_char_of_c(&element);
                Some(Elements {
                    first: self.word(value)?,
                    length: None,
                    element,
                    text: if is_text { Text::Ended } else { Text::No },
                })
            }
            _ => None,
        })
    }

    /// An element of an array that is not in memory, such as a vector in a register.
    fn element_of_pieces(&self, value: &Value, at: &Code) -> Result<Option<Value>> {
        let (Shape::Array { element, counts }, At::Stored(storage @ Storage::Pieces(_))) =
            (&value.of.shape, &value.at)
        else {
            return Ok(None);
        };
        let Some(at) = at.as_constant() else {
            return Err(Stop::unsupported(
                "the index is no constant, and the array not in memory here",
            ));
        };
        let inner = inner_array(&self.info.target(element)?, element, counts);
        if counts
            .first()
            .copied()
            .flatten()
            .is_none_or(|count| at >= count)
        {
            let fail = Code::constant(at).then(Op::Fail(Reason::OutOfRange));
            return Ok(Some(Value::word(inner, fail)));
        }
        let size = self.info.size(&inner)?.unwrap_or(0);
        let offset = at.checked_mul(size);
        let offset = offset.ok_or_else(|| Stop::unsupported(value.of.name.clone()))?;
        self.inside(storage, offset, inner).map(Some)
    }

    fn is_char_of_c(&self, of: &Type) -> bool {
        let rust = self.language == crate::info::Language::Rust;
        !rust && matches!(of.shape, Shape::Char { bytes: 1, .. })
    }

    fn elements_of(&self, value: &Value, container: Container) -> Result<Option<Elements>> {
        let word = |offset| self.part(value, offset);
        let (first, length, element, text) = match &container {
            Container::Counted { sequence, skip } => {
                let text = if sequence.text {
                    Text::Counted
                } else {
                    Text::No
                };
                let first = word(sequence.pointer)?.plus(*skip);
                (first, word(sequence.length)?, &sequence.element, text)
            }
            Container::Fixed {
                pointer,
                count,
                element,
            } => (word(*pointer)?, Code::constant(*count), element, Text::No),
            Container::Between {
                begin,
                end,
                element,
            } => {
                let size = self.stride(element)?;
                let length = word(*end)?
                    .append(word(*begin)?)
                    .then(Op::Sub)
                    .then(Op::Const(size))
                    .then(Op::DivU);
                (word(*begin)?, length, element, Text::No)
            }
            Container::Inline {
                offset,
                count,
                element,
            } => {
                let At::Stored(Storage::Memory(address)) = &value.at else {
                    return Err(Stop::unsupported("an array that is not in memory here"));
                };
                let first = address.clone().plus(*offset);
                (first, Code::constant(*count), element, Text::No)
            }
            Container::Blocks { .. } | Container::Ring { .. } | Container::Walked { .. } => {
                return Ok(None);
            }
        };
        Ok(Some(Elements {
            first,
            length: Some(length),
            element: self.info.target(element)?,
            text,
        }))
    }

    /// Code that pushes how many elements a container has.
    fn length_of(&self, value: &Value, container: &Container) -> Result<Code> {
        let word = |offset| self.part(value, offset);
        match container {
            Container::Walked { length } | Container::Ring { length, .. } => word(*length),
            Container::Blocks {
                start,
                finish,
                element,
            } => {
                let size = self.stride(element)?;
                let in_block = (512 / size).max(1);
                // As `deque::size` of libstdc++ has it: whole blocks between the first and the
                // last one, and what there is in those.
                let blocks = word(finish + 24)?
                    .append(word(start + 24)?)
                    .then(Op::Sub)
                    .then(Op::Const(8))
                    .then(Op::DivS)
                    .then(Op::Const(1))
                    .then(Op::Sub)
                    .then(Op::Const(in_block))
                    .then(Op::Mul);
                let partly = |to: Code, from: Code| {
                    to.append(from)
                        .then(Op::Sub)
                        .then(Op::Const(size))
                        .then(Op::DivS)
                };
                let last = partly(word(*finish)?, word(finish + 8)?);
                let first = partly(word(start + 16)?, word(*start)?);
                Ok(blocks
                    .append(last)
                    .then(Op::Add)
                    .append(first)
                    .then(Op::Add))
            }
            _ => match self.elements(value)?.and_then(|elements| elements.length) {
                Some(length) => Ok(length),
                None => Err(Stop::unsupported("a length that is not told")),
            },
        }
    }

    /// A word at an offset of a structure.
    pub(crate) fn part(&self, value: &Value, offset: u64) -> Result<Code> {
        self.number_at(value, offset, 8)
    }

    fn stride(&self, element: &Target) -> Result<u64> {
        let of = self.info.target(element)?;
        let size = self.info.size(&of)?.filter(|&size| size > 0);
        size.ok_or_else(|| Stop::unsupported("elements of unknown size"))
    }

    /// All of a deque.
    fn spread(&self, of: Value, container: Container) -> Result<Value> {
        let (Container::Ring { element, .. } | Container::Blocks { element, .. }) = &container
        else {
            return Err(Stop::unsupported(of.of.name));
        };
        let element = self.info.target(element)?;
        let length = self.length_of(&of, &container)?;
        let spread = Spread {
            of,
            container,
            begin: Code::constant(0),
            length,
        };
        Ok(Value::spread(&element, spread))
    }

    /// The element at an index that pushes a word.
    pub(crate) fn spread_element(&self, spread: &Spread, index: Code) -> Result<Value> {
        let index = below(index, spread.length.clone());
        let index = match spread.begin.as_constant() {
            Some(0) => index,
            _ => index.append(spread.begin.clone()).then(Op::Add),
        };
        let found = self.element_at(&spread.of, &spread.container, index)?;
        found.ok_or_else(|| Stop::unsupported(spread.of.of.name.clone()))
    }

    /// The element at an index that pushes a word.
    fn element_at(
        &self,
        value: &Value,
        container: &Container,
        index: Code,
    ) -> Result<Option<Value>> {
        let word = |offset| self.part(value, offset);
        let (element, address) = match container {
            Container::Blocks { start, element, .. } => {
                let size = self.stride(element)?;
                let in_block = (512 / size).max(1);
                let checked = below(index, self.length_of(value, container)?);
                // Counted from the beginning of the first block.
                let from_first = word(*start)?
                    .append(word(start + 8)?)
                    .then(Op::Sub)
                    .then(Op::Const(size))
                    .then(Op::DivU);
                let at = checked.append(from_first).then(Op::Add);
                let block = at
                    .clone()
                    .then(Op::Const(in_block))
                    .then(Op::DivU)
                    .then(Op::Const(8))
                    .then(Op::Mul)
                    .append(word(start + 24)?)
                    .then(Op::Add)
                    .then(Op::Load {
                        width: lr_probe::Width::B8,
                        signed: false,
                    });
                let within = at
                    .then(Op::Const(in_block))
                    .then(Op::RemU)
                    .then(Op::Const(size))
                    .then(Op::Mul);
                (element, block.append(within).then(Op::Add))
            }
            Container::Ring {
                pointer,
                capacity,
                head,
                length,
                element,
            } => {
                let size = self.stride(element)?;
                let at = below(index, word(*length)?)
                    .append(word(*head)?)
                    .then(Op::Add)
                    .append(word(*capacity)?)
                    .then(Op::RemU)
                    .then(Op::Const(size))
                    .then(Op::Mul);
                (element, word(*pointer)?.append(at).then(Op::Add))
            }
            _ => return Ok(None),
        };
        let of = self.info.target(element)?;
        Ok(Some(Value::memory(of, address)))
    }
}

impl Evaluator<'_, '_> {
    pub(crate) fn index(&mut self, column: usize, inner: &Expr, index: &Expr) -> Result<Value> {
        let base = self.value(inner)?;
        let mut base = self.scope.read(base)?;
        let mut container = self.scope.container_of(&base)?;
        if container.is_none()
            && let Some(inner) = self.scope.through(&base)?
        {
            base = self.scope.read(inner)?;
            container = self.scope.container_of(&base)?;
        }
        if let Some(Container::Walked { .. }) = container {
            return self.walked(column, &base, index);
        }
        // Looked at once: indexes are in indexes.
        let at = self.whole_number(index, "an integer as index")?;
        if let At::Spread(spread) = &base.at {
            return self.scope.spread_element(spread, at);
        }
        if let Some(container) = container
            && let Some(element) = self.scope.element_at(&base, &container, at.clone())?
        {
            return Ok(element);
        }
        if let Some(element) = self.scope.element_of_pieces(&base, &at)? {
            return Ok(element);
        }
        let Some(elements) = self.scope.elements(&base)? else {
            let found = format!("`{}`", base.of.name);
            return Err(Stop::types(column, "an array, a pointer or a slice", found));
        };
        let at = match elements.length {
            Some(length) => match length.as_constant() {
                Some(limit) => at.then(Op::Bound { limit }),
                None => below(at, length),
            },
            None => at,
        };
        self.element(column, elements.element, elements.first, at)
    }

    /// What only a walk finds: while the thread stands still it is looked for at once.
    fn walked(&mut self, column: usize, base: &Value, index: &Expr) -> Result<Value> {
        let whole = || Stop::Whole {
            column,
            type_name: base.of.name.clone(),
        };
        let Some(live) = self.live else {
            // The names in it are those of the place all the same.
            if !matches!(index.kind, crate::expr::Kind::Text(_)) {
                self.value(index)?;
            }
            return Err(whole());
        };
        let (At::Stored(Storage::Memory(address)), Some(at)) = (&base.at, base.of.at) else {
            return Err(Stop::unsupported("a container that is not in memory here"));
        };
        let key = match &index.kind {
            crate::expr::Kind::Text(text) => Key::Text(text.clone()),
            crate::expr::Kind::Char(letter) => Key::Char(*letter),
            _ => {
                let value = self.value(index)?;
                let value = self.scope.read(value)?;
                if !value.of.is_scalar() {
                    let found = format!("`{}`", value.of.name);
                    return Err(Stop::types(
                        index.column,
                        "a number or a text as key",
                        found,
                    ));
                }
                Key::Word(self.scope.word(&value)?)
            }
        };
        live.entry(address, at, &key, &self.pool)
    }

    fn whole_number(&mut self, index: &Expr, expected: &str) -> Result<Code> {
        let at = self.value(index)?;
        let at = self.scope.read(at)?;
        if !matches!(
            at.of.shape,
            Shape::Int { .. } | Shape::Char { .. } | Shape::Enum { .. }
        ) {
            let found = format!("`{}`", at.of.name);
            return Err(Stop::types(index.column, expected, found));
        }
        self.scope.word(&at)
    }

    fn element(&self, column: usize, of: Type, base: Code, index: Code) -> Result<Value> {
        let Some(size) = self.scope.info.size(&of)? else {
            let found = format!("`{}`", of.name);
            return Err(Stop::types(column, "elements of known size", found));
        };
        let offset = index.times(size);
        Ok(Value::memory(of, base.append(offset).then(Op::Add)))
    }

    /// `inner[begin..end]`: an end behind the last element is the last one; a beginning behind the
    /// end has no value.
    pub(crate) fn slice(&mut self, column: usize, inner: &Expr, range: &Range) -> Result<Value> {
        let base = self.value(inner)?;
        let mut base = self.scope.read(base)?;
        if self.scope.container_of(&base)?.is_none()
            && let Some(inner) = self.scope.through(&base)?
        {
            base = self.scope.read(inner)?;
        }
        let container = self.scope.container_of(&base)?;
        if let At::Spread(_) = base.at {
            return self.slice_of_spread(base, range);
        }
        match container {
            Some(Container::Walked { .. }) => {
                let found = format!("`{}`", base.of.name);
                let expected = "elements that have an order in memory, to take a slice of";
                return Err(Stop::types(column, expected, found));
            }
            Some(container @ (Container::Ring { .. } | Container::Blocks { .. })) => {
                let whole = self.scope.spread(base, container)?;
                return self.slice_of_spread(whole, range);
            }
            _ => {}
        }
        let Some(elements) = self.scope.elements(&base)? else {
            let found = format!("`{}`", base.of.name);
            return Err(Stop::types(column, "an array, a pointer or a slice", found));
        };
        let Some(size) = self.scope.info.size(&elements.element)? else {
            let found = format!("`{}`", elements.element.name);
            return Err(Stop::types(column, "elements of known size", found));
        };
        let (begin, length) = self.part_of(elements.length, range)?.ok_or_else(|| {
            let found = format!("`{}`, whose length nothing tells", base.of.name);
            Stop::types(column, "an end of the slice", found)
        })?;
        let first = elements.first.append(begin.times(size)).then(Op::Add);
        Ok(Value::elements(Elements {
            first,
            length: Some(length),
            element: elements.element,
            text: elements.text,
        }))
    }

    /// The same of elements that lie here and there.
    fn slice_of_spread(&mut self, base: Value, range: &Range) -> Result<Value> {
        let At::Spread(spread) = base.at else {
            return Err(Stop::unsupported(base.of.name));
        };
        let part = self.part_of(Some(spread.length), range)?;
        let (begin, length) = part.ok_or_else(|| Stop::unsupported("a length that is not told"))?;
        let begin = match spread.begin.as_constant() {
            Some(0) => begin,
            _ => spread.begin.append(begin).then(Op::Add),
        };
        let spread = Spread {
            begin,
            length,
            ..*spread
        };
        Ok(Value {
            at: At::Spread(Box::new(spread)),
            ..base
        })
    }

    /// Where a part begins and how long it is; `None` where nothing says its end.
    fn part_of(&mut self, length: Option<Code>, range: &Range) -> Result<Option<(Code, Code)>> {
        let mut end = match &range.end {
            Some(end) => Some(self.not_negative(end)?),
            None => None,
        };
        if range.inclusive {
            end = end.map(|end| end.then(Op::Const(1)).then(Op::Add));
        }
        let end = match (end, length) {
            (Some(end), Some(length)) => length.append(end).lesser(),
            (Some(end), None) => end,
            (None, Some(length)) => length,
            (None, None) => return Ok(None),
        };
        let begin = match &range.begin {
            Some(begin) => self.not_negative(begin)?,
            None => Code::constant(0),
        };
        let length = match begin.as_constant() {
            Some(0) => end,
            _ => end.append(begin.clone()).difference(),
        };
        Ok(Some((begin, length)))
    }

    fn not_negative(&mut self, expr: &Expr) -> Result<Code> {
        let code = self.whole_number(expr, "an integer as an end of a slice")?;
        match code.as_constant() {
            Some(word) if word.cast_signed() >= 0 => Ok(code),
            Some(_) => Err(Stop::types(
                expr.column,
                "an end of a slice that is not negative",
                "a negative one",
            )),
            None => Ok(code.then(Op::Bound { limit: 1 << 63 })),
        }
    }

    pub(crate) fn length(&mut self, column: usize, inner: &Expr) -> Result<Value> {
        let name = if self.is_rust() {
            "usize"
        } else {
            "unsigned long"
        };
        let of = Type::int(name, 8, false);
        if let crate::expr::Kind::Text(text) = &inner.kind {
            return Ok(Value::word(of, Code::constant(text.len() as u64)));
        }
        let value = self.value(inner)?;
        let mut value = self.scope.read(value)?;
        for _ in 0..super::value::MAX_REFERENCES {
            if let Some(container) = self.scope.container_of(&value)? {
                let length = self.scope.length_of(&value, &container)?;
                return Ok(Value::word(of, length));
            }
            match self.scope.through(&value)? {
                Some(inner) => value = self.scope.read(inner)?,
                None => break,
            }
        }
        match &value.at {
            At::Elements(elements) if let Some(length) = &elements.length => {
                return Ok(Value::word(of, length.clone()));
            }
            At::Spread(spread) => return Ok(Value::word(of, spread.length.clone())),
            _ => {}
        }
        match &value.of.shape {
            Shape::Array { counts, .. } => match counts.first().copied().flatten() {
                Some(count) => Ok(Value::word(of, Code::constant(count))),
                None => Err(Stop::types(
                    column,
                    "an array of known length",
                    "one without bounds",
                )),
            },
            _ => {
                let found = format!("`{}`", value.of.name);
                let expected = "an array, a slice, a container or a string that knows its length";
                Err(Stop::types(column, expected, found))
            }
        }
    }
}

/// What a container of keys is looked up by.
pub(crate) enum Key {
    Text(Vec<u8>),
    Char(char),
    Word(Code),
}

/// The index on the stack, which is below a length.
fn below(index: Code, length: Code) -> Code {
    index
        .then(Op::Dup)
        .append(length)
        .then(Op::LtU)
        .then(Op::JumpIfNotZero(1))
        .then(Op::Fail(Reason::OutOfRange))
}

impl Code {
    /// The lesser of the two words on top, without sign.
    fn lesser(self) -> Code {
        self.then(Op::Over)
            .then(Op::Over)
            .then(Op::LtU)
            .then(Op::JumpIfNotZero(1))
            .then(Op::Swap)
            .then(Op::Drop)
    }

    /// The difference of the two words on top, which is not negative.
    fn difference(self) -> Code {
        self.then(Op::Over)
            .then(Op::Over)
            .then(Op::LtU)
            .then(Op::JumpIfZero(1))
            .then(Op::Fail(Reason::OutOfRange))
            .then(Op::Sub)
    }

    fn times(self, factor: u64) -> Code {
        match factor {
            1 => self,
            factor => self.then(Op::Const(factor)).then(Op::Mul),
        }
    }
}
