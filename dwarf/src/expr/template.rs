use super::SyntaxError;
use super::ast::Expr;
use super::cursor::{Cursor, is_identifier};
use super::parse::{Dialect, check_length, expression, unfinished};

/// A part of a template.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Piece {
    Text(String),
    Field {
        expr: Expr,
        format: Format,
        /// Unique in the template.
        name: String,
        /// The expression as it is written.
        source: String,
    },
}

/// How a value is written into the message; the field itself stays what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Plain,
    /// `{x:x}`
    Hex,
    /// `{x:?}`: strings and characters in quotes, with escapes.
    Quoted,
    /// `{x:raw}`: containers as the structures that they are made of.
    Raw,
}

/// Reads `text {expression} text {expression:format}`; `{{` and `}}` are braces.
pub(crate) fn parse_template(text: &str, dialect: Dialect) -> Result<Vec<Piece>, SyntaxError> {
    check_length(text)?;
    let mut cursor = Cursor::new(text);
    let mut pieces = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut plain = String::new();
    while let Some(c) = cursor.next() {
        match c {
            '{' if cursor.peek() == Some('{') => {
                cursor.next();
                plain.push('{');
            }
            '}' if cursor.peek() == Some('}') => {
                cursor.next();
                plain.push('}');
            }
            '}' => {
                let column = cursor.column() - 1;
                return Err(cursor.error_at(column, "`}}` for a brace, or a `{` before it"));
            }
            '{' => {
                let label = label(&plain);
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                let (expr, format, source) = field(&mut cursor, dialect)?;
                let name = unique(&names, label.unwrap_or_else(|| source.clone()));
                names.push(name.clone());
                pieces.push(Piece::Field {
                    expr,
                    format,
                    name,
                    source,
                });
            }
            c => plain.push(c),
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

fn field(cursor: &mut Cursor<'_>, dialect: Dialect) -> Result<(Expr, Format, String), SyntaxError> {
    let start = cursor.column();
    if cursor.take("}") {
        return Err(cursor.error_at(start, "an expression between the braces, or `{{`"));
    }
    let expr = expression(cursor, dialect)?;
    let source = cursor.since(start).trim().to_owned();
    cursor.skip_space();
    let format = match cursor.peek() {
        Some(':') => {
            cursor.next();
            if cursor.take("x") {
                Format::Hex
            } else if cursor.take("?") {
                Format::Quoted
            } else if cursor.take("raw") {
                Format::Raw
            } else {
                return Err(cursor.error("the format `x`, `?` or `raw`"));
            }
        }
        _ => Format::Plain,
    };
    if !cursor.take("}") {
        return Err(unfinished(cursor, "`}`"));
    }
    Ok((expr, format, source))
}

/// The identifier in `identifier=` at the end of the text before a field.
fn label(before: &str) -> Option<String> {
    let before = before.strip_suffix('=')?;
    let begin = before
        .char_indices()
        .rev()
        .take_while(|&(_, c)| is_identifier(c))
        .last()?
        .0;
    let name = &before[begin..];
    let first = name.chars().next()?;
    (!first.is_numeric()).then(|| name.to_owned())
}

fn unique(taken: &[String], name: String) -> String {
    if !taken.contains(&name) {
        return name;
    }
    (2..)
        .map(|count| format!("{name}_{count}"))
        .find(|name| !taken.contains(name))
        .expect("there are more numbers than fields")
}
