use super::SyntaxError;
use super::ast::{Binary, Expr, Kind, REGISTERS, Range, Special, Test, TypeName, Unary};
use super::cursor::Cursor;
use super::literal;
use crate::info::Language;

/// How deep expressions may nest.
const MAX_DEPTH: usize = 64;
/// How deep what they mean may be: a chain of operators is as deep as it is long.
const MAX_HEIGHT: usize = 100;
/// The longest text that is looked at.
pub(crate) const MAX_TEXT: usize = 16 << 10;

/// Whose precedence holds: `a & b == c` is `a & (b == c)` in C and `(a & b) == c` in Rust.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    C,
    Rust,
}

impl Dialect {
    /// Of what is written about code of a language.
    pub(crate) fn of(language: Language) -> Dialect {
        match language {
            Language::Rust => Dialect::Rust,
            Language::C | Language::Cpp => Dialect::C,
        }
    }
}

/// Words that no variable of the language has. C++'s own are variables in C.
fn is_keyword(word: &str, dialect: Dialect) -> bool {
    const C: [&str; 12] = [
        "if", "else", "while", "for", "return", "switch", "case", "do", "goto", "break",
        "continue", "typedef",
    ];
    const RUST: [&str; 13] = [
        "if", "else", "while", "for", "return", "match", "let", "fn", "mut", "loop", "break",
        "continue", "await",
    ];
    match dialect {
        Dialect::C => C.contains(&word),
        Dialect::Rust => RUST.contains(&word),
    }
}

/// Reads a whole text as one expression.
pub(crate) fn parse_condition(text: &str, dialect: Dialect) -> Result<Expr, SyntaxError> {
    check_length(text)?;
    let mut cursor = Cursor::new(text);
    let expr = expression(&mut cursor, dialect)?;
    cursor.skip_space();
    match cursor.peek() {
        None => Ok(expr),
        Some(_) => Err(unfinished(&cursor, "the end")),
    }
}

/// Behind an expression is something that does not go on with it, nor is it `end`.
pub(crate) fn unfinished(cursor: &Cursor<'_>, end: &str) -> SyntaxError {
    let rest = cursor.rest();
    let writes = [
        "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=",
    ];
    if rest.starts_with('=') {
        let expected = format!("`==`: nothing can be assigned; an operator or {end}");
        return cursor.error(&expected);
    }
    if rest.starts_with('(') {
        let expected = format!("an operator or {end}: no calls into the target");
        return cursor.error(&expected);
    }
    if rest.starts_with('?') {
        let expected = format!("an operator or {end}: there is no `a ? b : c` and no `?`");
        return cursor.error(&expected);
    }
    if writes.iter().any(|sign| rest.starts_with(sign)) {
        let expected = format!("an operator or {end}: nothing can be changed");
        return cursor.error(&expected);
    }
    for (word, sign) in [("and", "&&"), ("or", "||"), ("not", "!"), ("is", "==")] {
        let behind = rest.strip_prefix(word);
        if behind.is_some_and(|behind| !behind.starts_with(super::cursor::is_identifier)) {
            return cursor.error(&format!("`{sign}`, an operator or {end}"));
        }
    }
    cursor.error(&format!("an operator or {end}"))
}

/// The same of what is watched, which may end in `:raw` or `:?`; whether it is raw.
pub(crate) fn parse_watch(text: &str, dialect: Dialect) -> Result<(Expr, bool), SyntaxError> {
    let (text, raw) = match text.trim_end().strip_suffix(":raw") {
        Some(before) => (before, true),
        None => (text.trim_end().strip_suffix(":?").unwrap_or(text), false),
    };
    Ok((parse_condition(text, dialect)?, raw))
}

/// Nobody writes megabytes: those are refused before they are read.
pub(crate) fn check_length(text: &str) -> Result<(), SyntaxError> {
    match text.len() > MAX_TEXT {
        true => Err(SyntaxError {
            column: MAX_TEXT,
            expected: format!("at most {MAX_TEXT} bytes"),
            found: format!("{}", text.len()),
        }),
        false => Ok(()),
    }
}

/// Reads one expression and stops behind it.
pub(crate) fn expression(cursor: &mut Cursor<'_>, dialect: Dialect) -> Result<Expr, SyntaxError> {
    let mut parser = Parser {
        cursor,
        dialect,
        depth: 0,
    };
    parser.binary(0)
}

struct Parser<'a, 'b> {
    cursor: &'b mut Cursor<'a>,
    dialect: Dialect,
    depth: usize,
}

impl Parser<'_, '_> {
    /// Whoever reads an expression later goes down into it, and a stack has an end.
    fn made(&self, column: usize, kind: Kind) -> Result<Expr, SyntaxError> {
        let expr = Expr::new(column, kind);
        match expr.height > MAX_HEIGHT {
            true => Err(self.cursor.error("an expression that is less deep")),
            false => Ok(expr),
        }
    }

    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.depth == MAX_DEPTH {
            return Err(self.cursor.error("an expression that is less deep"));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn binary(&mut self, least: u8) -> Result<Expr, SyntaxError> {
        let mut left = self.unary()?;
        let mut length = 0;
        loop {
            self.cursor.skip_space();
            let column = self.cursor.column();
            let rest = self.cursor.rest();
            let Some((binary, sign)) = operator(rest) else {
                return Ok(left);
            };
            // `x++`, `x += 1`, `x <<= 1`: nothing is changed here.
            if is_written(rest, sign) {
                return Ok(left);
            }
            let power = power(binary, self.dialect);
            if power < least {
                return Ok(left);
            }
            if binary.is_comparison() && is_open_comparison(&left) && length > 0 {
                return Err(self.cursor.error("parentheses around the first comparison"));
            }
            length += 1;
            if length > MAX_DEPTH {
                return Err(self.cursor.error("an expression that is shorter"));
            }
            self.cursor.take(sign);
            let right = self.nested(|parser| parser.binary(power + 1))?;
            left = self.made(
                column,
                Kind::Binary(binary, Box::new(left), Box::new(right)),
            )?;
        }
    }

    fn unary(&mut self) -> Result<Expr, SyntaxError> {
        self.cursor.skip_space();
        let column = self.cursor.column();
        let rest = self.cursor.rest();
        let unary = match rest.chars().next() {
            Some('*') => Some(Unary::Deref),
            Some('&') if !rest.starts_with("&&") => Some(Unary::AddressOf),
            Some('-') => Some(Unary::Neg),
            Some('!') => Some(Unary::Not),
            Some('~') => Some(Unary::BitNot),
            _ => None,
        };
        let mut expr = if let Some(unary) = unary {
            self.cursor.next();
            let inner = self.nested(Parser::unary_without_as)?;
            self.made(column, Kind::Unary(unary, Box::new(inner)))?
        } else {
            self.unary_without_as()?
        };
        while self.cursor.keyword("as") {
            let of = self.type_name()?;
            expr = self.made(column, Kind::Cast(Box::new(expr), of))?;
        }
        Ok(expr)
    }

    fn unary_without_as(&mut self) -> Result<Expr, SyntaxError> {
        self.cursor.skip_space();
        let column = self.cursor.column();
        match self.cursor.peek() {
            Some('*' | '&' | '-' | '!' | '~') => {
                let sign = self.cursor.next();
                let unary = match sign {
                    Some('*') => Unary::Deref,
                    Some('&') => Unary::AddressOf,
                    Some('-') => Unary::Neg,
                    Some('!') => Unary::Not,
                    _ => Unary::BitNot,
                };
                let inner = self.nested(Parser::unary_without_as)?;
                self.made(column, Kind::Unary(unary, Box::new(inner)))
            }
            Some('(') => {
                if let Some(of) = self.c_cast() {
                    let inner = self.nested(Parser::unary_without_as)?;
                    return self.made(column, Kind::Cast(Box::new(inner), of));
                }
                self.postfix()
            }
            _ => self.postfix(),
        }
    }

    fn postfix(&mut self) -> Result<Expr, SyntaxError> {
        let mut expr = self.primary()?;
        let mut length = 0;
        loop {
            length += 1;
            if length > MAX_DEPTH {
                return Err(self.cursor.error("an expression that is shorter"));
            }
            self.cursor.skip_space();
            let column = self.cursor.column();
            let rest = self.cursor.rest();
            // A range has two points: `a[b..]`.
            if rest.starts_with("..") {
                return Ok(expr);
            }
            let kind = if self.cursor.take("->") || self.cursor.take(".") {
                let name = match self.cursor.identifier() {
                    Some(name) => name,
                    None => self.cursor.take_while(|c| c.is_ascii_digit()),
                };
                if name.is_empty() {
                    return Err(self.cursor.error("the name of a member"));
                }
                if self.cursor.next_is("(") {
                    let hint = crate::error::meant_function(name);
                    let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
                    let expected = format!("a member: no calls into the target{hint}");
                    return Err(self.cursor.error(&expected));
                }
                Kind::Member(Box::new(expr), name.to_owned())
            } else if self.cursor.take("[") {
                let inner = Box::new(expr);
                let kind = self.nested(|parser| parser.subscript(inner))?;
                if !self.cursor.take("]") {
                    return Err(unfinished(self.cursor, "`]`"));
                }
                kind
            } else {
                return Ok(expr);
            };
            expr = self.made(column, kind)?;
        }
    }

    /// What stands between brackets: an index or a range.
    fn subscript(&mut self, inner: Box<Expr>) -> Result<Kind, SyntaxError> {
        let mut begin = None;
        if !self.cursor.next_is("..") {
            begin = Some(Box::new(self.binary(0)?));
        }
        if !self.cursor.take("..") {
            return match begin {
                Some(index) => Ok(Kind::Index(inner, index)),
                None => Err(self.cursor.error("an index or a range")),
            };
        }
        let inclusive = self.cursor.take("=");
        let mut end = None;
        if !self.cursor.next_is("]") {
            end = Some(Box::new(self.binary(0)?));
        } else if inclusive {
            return Err(self.cursor.error("the last index behind `..=`"));
        }
        Ok(Kind::Slice(
            inner,
            Range {
                begin,
                end,
                inclusive,
            },
        ))
    }

    fn primary(&mut self) -> Result<Expr, SyntaxError> {
        self.cursor.skip_space();
        let column = self.cursor.column();
        let kind = match self.cursor.peek() {
            Some('(') => {
                self.cursor.next();
                let inner = self.nested(|parser| parser.binary(0))?;
                if !self.cursor.take(")") {
                    return Err(unfinished(self.cursor, "`)`"));
                }
                // Parentheses make a comparison an operand like any other.
                return Ok(inner);
            }
            Some(c) if c.is_ascii_digit() => literal::number(self.cursor)?,
            Some('"') => Kind::Text(literal::string(self.cursor)?),
            Some('\'') => Kind::Char(literal::character(self.cursor)?),
            Some('$') => self.special()?,
            _ => self.name()?,
        };
        self.made(column, kind)
    }

    fn special(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.cursor.column();
        self.cursor.next();
        Ok(Kind::Special(match self.cursor.identifier() {
            Some("pid") => Special::Pid,
            Some("tid") => Special::Tid,
            Some("thread") => Special::Thread,
            Some("time") => Special::Time,
            Some("hits") => Special::Hits,
            Some("function") => Special::Function,
            Some("line") => Special::Line,
            Some("duration" | "return") => {
                let known =
                    "what a line knows: $duration and $return are known when a function ends";
                return Err(self.cursor.error_at(start, known));
            }
            word => {
                let number = REGISTERS.iter().position(|&name| Some(name) == word);
                match number.and_then(|number| u8::try_from(number).ok()) {
                    Some(number) => Special::Register(number),
                    None => {
                        let known = "$pid, $tid, $thread, $time, $hits, $function, $line or a register like $rip";
                        return Err(self.cursor.error_at(start, known));
                    }
                }
            }
        }))
    }

    fn name(&mut self) -> Result<Kind, SyntaxError> {
        let is_global = self.cursor.take("::") && self.dialect == Dialect::C;
        let Some(first) = self.cursor.identifier() else {
            return Err(self.cursor.error("a name, a literal or `(`"));
        };
        match first {
            "true" => return Ok(Kind::Bool(true)),
            "false" => return Ok(Kind::Bool(false)),
            "null" | "NULL" | "nullptr" => return Ok(Kind::Null),
            "b" if self.cursor.peek() == Some('\'') => {
                let start = self.cursor.column();
                let character = literal::character(self.cursor)?;
                let value = u64::from(u32::from(character));
                if value > 255 {
                    return Err(self.cursor.error_at(start, "a byte"));
                }
                return Ok(Kind::Int {
                    value,
                    suffix: super::Suffix::Rust {
                        bytes: 1,
                        signed: false,
                    },
                });
            }
            "len" | "is_some" | "is_none" | "is_ok" | "is_err" if self.cursor.take("(") => {
                let inner = self.nested(|parser| parser.binary(0))?;
                if !self.cursor.take(")") {
                    return Err(unfinished(self.cursor, "`)`"));
                }
                let inner = Box::new(inner);
                return Ok(match first {
                    "len" => Kind::Len(inner),
                    "is_some" => Kind::Is(inner, Test::Some),
                    "is_none" => Kind::Is(inner, Test::None),
                    "is_ok" => Kind::Is(inner, Test::Ok),
                    _ => Kind::Is(inner, Test::Err),
                });
            }
            "sizeof" | "alignof" if self.cursor.next_is("(") => {
                let start = self.cursor.column() - first.len();
                return Err(self
                    .cursor
                    .error_at(start, "a value: sizes of types are not known here"));
            }
            word if is_keyword(word, self.dialect) => {
                let start = self.cursor.column() - word.len();
                return Err(self
                    .cursor
                    .error_at(start, "a name, a literal or `(`: this is a keyword"));
            }
            _ => {}
        }
        // Statics are found by the end of their path, whatever their crate is called.
        let first = match first {
            "crate" if self.cursor.take("::") => match self.cursor.identifier() {
                Some(next) => next,
                None => return Err(self.cursor.error("a name behind `::`")),
            },
            first => first,
        };
        let mut path = vec![first.to_owned()];
        while self.cursor.take("::") {
            match self.cursor.identifier() {
                Some(next) if path.len() < MAX_DEPTH => path.push(next.to_owned()),
                _ => return Err(self.cursor.error("a name behind `::`")),
            }
        }
        let is_variant = path
            .last()
            .is_some_and(|last| last.starts_with(|first: char| first.is_uppercase()));
        if is_variant && self.cursor.next_is("(") {
            let parts = self.nested(Parser::parts)?;
            return Ok(Kind::Variant(path, parts));
        }
        Ok(match path.as_slice() {
            [name] if is_global => Kind::Global(name.clone()),
            _ => Kind::Name(path),
        })
    }

    /// `(a, b)` behind the name of a variant.
    fn parts(&mut self) -> Result<Vec<Expr>, SyntaxError> {
        self.cursor.take("(");
        let mut parts = Vec::new();
        loop {
            parts.push(self.binary(0)?);
            if parts.len() > MAX_DEPTH {
                return Err(self.cursor.error("an expression that is shorter"));
            }
            if self.cursor.take(")") {
                return Ok(parts);
            }
            if !self.cursor.take(",") {
                return Err(unfinished(self.cursor, "`)`"));
            }
        }
    }

    /// `(type)` before an operand; leaves the cursor where it was if it is something else.
    fn c_cast(&mut self) -> Option<TypeName> {
        let start = self.cursor.column();
        let cast = self.try_c_cast();
        if cast.is_none() {
            self.cursor.back_to(start);
        }
        cast
    }

    fn try_c_cast(&mut self) -> Option<TypeName> {
        self.cursor.next();
        let of = self.type_name().ok()?;
        if !self.cursor.take(")") {
            return None;
        }
        self.cursor.skip_space();
        let next = self.cursor.peek()?;
        // An operand cannot follow an operand, so these make it a cast. `(a) - b` and `(a) * b`
        // are arithmetic unless the type can only be a type.
        let begins_operand = next.is_alphanumeric() || matches!(next, '_' | '"' | '\'' | '(' | '$');
        let is_type = of.pointers > 0 || is_built_in(&of.name);
        let begins_unary = matches!(next, '-' | '*' | '&' | '!' | '~') && is_type;
        let rest = self.cursor.rest();
        let is_operator = operator(rest).is_some() && !begins_unary || rest.starts_with("as ");
        (begins_unary || begins_operand && !is_operator).then_some(of)
    }

    /// `<…>` right behind the name of a type.
    fn generics(&mut self) -> Option<&str> {
        let start = self.cursor.column();
        let len = balanced(self.cursor.rest())?;
        self.cursor.back_to(start + len);
        Some(self.cursor.since(start))
    }

    fn type_name(&mut self) -> Result<TypeName, SyntaxError> {
        self.cursor.skip_space();
        let column = self.cursor.column();
        let mut pointers = 0;
        // Rust writes the star first.
        while self.cursor.take("*") {
            pointers += 1;
            if !self.cursor.keyword("const") && !self.cursor.keyword("mut") {
                return Err(self.cursor.error("`const` or `mut`"));
            }
        }
        let mut words: Vec<String> = Vec::new();
        loop {
            let start = self.cursor.column();
            let Some(word) = self.cursor.identifier() else {
                break;
            };
            let several = words.last().is_none_or(|last| {
                matches!(last.as_str(), "struct" | "union" | "enum" | "class") || is_word_of_c(last)
            });
            if words.len() > 4
                || !several
                || word == "as"
                || !words.is_empty()
                    && !is_word_of_c(word)
                    && words.last().is_some_and(|last| is_word_of_c(last))
            {
                self.cursor.back_to(start);
                break;
            }
            if matches!(word, "const" | "volatile") {
                continue;
            }
            let mut path = word.to_owned();
            if !is_built_in(word)
                && let Some(generics) = self.generics()
            {
                path.push_str(generics);
            }
            while self.cursor.take("::") {
                let Some(next) = self.cursor.identifier() else {
                    return Err(self.cursor.error("a name behind `::`"));
                };
                path = format!("{path}::{next}");
                if let Some(generics) = self.generics() {
                    path.push_str(generics);
                }
            }
            words.push(path);
        }
        if words.is_empty() {
            return Err(self.cursor.error("the name of a type"));
        }
        // `x as long * 2` is no pointer: only inside parentheses a star belongs to the type.
        loop {
            let start = self.cursor.column();
            if !self.cursor.take("*") {
                break;
            }
            let mut look = self.cursor.clone();
            look.skip_space();
            if !matches!(look.peek(), Some(')' | '*')) {
                self.cursor.back_to(start);
                break;
            }
            pointers += 1;
        }
        Ok(TypeName {
            column,
            name: words.join(" "),
            pointers,
        })
    }
}

/// The length of `<…>` at the beginning of a text, where it is one.
fn balanced(rest: &str) -> Option<usize> {
    let mut open = 0usize;
    for (at, c) in rest.char_indices() {
        match c {
            '<' => open += 1,
            '>' => open = open.checked_sub(1)?,
            c if c.is_alphanumeric() || "_:,*& []();'".contains(c) => {}
            _ => return None,
        }
        if open == 0 {
            return (at > 0).then_some(at + 1);
        }
    }
    None
}

/// Whether a sign is the beginning of one that writes. `a --b` is `a - -b`, and `a -- ` nothing.
fn is_written(rest: &str, sign: &str) -> bool {
    let behind = &rest[sign.len()..];
    let assigns = !matches!(sign, "<" | ">" | "<=" | ">=" | "==" | "!=" | "&&" | "||")
        && behind.starts_with('=')
        && !behind.starts_with("==");
    let steps = matches!(sign, "+" | "-") && behind.starts_with(sign) && {
        let next = behind[1..].trim_start().chars().next();
        next.is_none_or(|next| !(next.is_alphanumeric() || "_($'\"*&!~-".contains(next)))
    };
    assigns || steps
}

fn is_open_comparison(expr: &Expr) -> bool {
    matches!(expr.kind, Kind::Binary(binary, ..) if binary.is_comparison())
}

fn is_word_of_c(word: &str) -> bool {
    matches!(
        word,
        "unsigned"
            | "signed"
            | "long"
            | "short"
            | "int"
            | "char"
            | "double"
            | "float"
            | "bool"
            | "_Bool"
    )
}

fn is_built_in(name: &str) -> bool {
    let rust = [
        "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize", "f32", "f64",
    ];
    let first = name.split(' ').next().unwrap_or(name);
    is_word_of_c(first)
        || matches!(first, "struct" | "union" | "enum" | "class")
        || rust.contains(&name)
        || name.ends_with("_t")
}

fn operator(rest: &str) -> Option<(Binary, &'static str)> {
    // Longer signs first.
    const ALL: [Binary; 18] = [
        Binary::Shl,
        Binary::Shr,
        Binary::Le,
        Binary::Ge,
        Binary::Eq,
        Binary::Ne,
        Binary::And,
        Binary::Or,
        Binary::Mul,
        Binary::Div,
        Binary::Rem,
        Binary::Add,
        Binary::Sub,
        Binary::Lt,
        Binary::Gt,
        Binary::BitAnd,
        Binary::BitXor,
        Binary::BitOr,
    ];
    let binary = ALL
        .into_iter()
        .find(|binary| rest.starts_with(binary.sign()))?;
    Some((binary, binary.sign()))
}

/// Binding powers: C17 6.5, and the Rust reference on operator precedence.
fn power(binary: Binary, dialect: Dialect) -> u8 {
    let (c, rust) = match binary {
        Binary::Or => (1, 1),
        Binary::And => (2, 2),
        Binary::BitOr => (3, 4),
        Binary::BitXor => (4, 5),
        Binary::BitAnd => (5, 6),
        Binary::Eq | Binary::Ne => (6, 3),
        Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => (7, 3),
        Binary::Shl | Binary::Shr => (8, 8),
        Binary::Add | Binary::Sub => (9, 9),
        Binary::Mul | Binary::Div | Binary::Rem => (10, 10),
    };
    match dialect {
        Dialect::C => c,
        Dialect::Rust => rust,
    }
}
