use comfy_table::{Cell, CellAlignment, ContentLineStyle, LineStyle, Table, TableStyle};
use unicode_width::UnicodeWidthStr;

use crate::escape::escaped;
use crate::style::Style;

/// As `psql` draws it: one line under the header, a bar between columns.
const SQL: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none().junction('|'))
    .header_separator(LineStyle::none().fill('-').junction('+'))
    .content_lines(ContentLineStyle::none().junction('|'));

/// What fills a cell of a query's result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum SqlCell {
    Null,
    Number(String),
    Text(String),
}

/// Columns under a header, without lines. Texts are escaped here.
pub(crate) fn plain(header: &[&str], rows: &[Vec<String>], style: Style) -> String {
    let width_of = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| escaped(cell).width()).max().unwrap_or(0);
        widest.max(header[column].width())
    };
    let widths: Vec<usize> = (0..header.len()).map(width_of).collect();
    let line = |cells: &mut dyn Iterator<Item = String>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            let filling = width.saturating_sub(cell.width()) + 2;
            line.push_str(&cell);
            line.push_str(&" ".repeat(filling));
        }
        line.trim_end().to_string()
    };
    let mut text = style.bold(&line(&mut header.iter().map(|cell| cell.to_string())));
    text.push('\n');
    for row in rows {
        text.push_str(&line(
            &mut row.iter().map(|cell| escaped(cell).into_owned()),
        ));
        text.push('\n');
    }
    text
}

/// A query's result. NULL is dim where there is colour; without, a text that reads like it is
/// quoted, so that the two differ.
pub(crate) fn sql(header: &[String], rows: Vec<Vec<SqlCell>>, style: Style) -> String {
    let mut table = Table::new();
    table.load_style(SQL).force_no_tty();
    table.set_header(header.iter().map(|name| Cell::new(escaped(name))));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| match cell {
            SqlCell::Null => Cell::new("NULL"),
            SqlCell::Number(number) => Cell::new(number).set_alignment(CellAlignment::Right),
            SqlCell::Text(text) if text == "NULL" => Cell::new("\"NULL\""),
            SqlCell::Text(text) => Cell::new(escaped(&text)),
        }));
    }
    let mut text = String::new();
    for (number, line) in table.lines().enumerate() {
        let line = line.trim_end();
        match number {
            0 => text.push_str(&style.bold(line)),
            _ => text.push_str(&dim_nulls(line, style)),
        }
        text.push('\n');
    }
    text
}

/// A cell that is NULL and nothing else stands between spaces and bars.
fn dim_nulls(line: &str, style: Style) -> String {
    if style == Style::Plain || !line.contains("NULL") {
        return line.to_string();
    }
    let cells: Vec<_> = line
        .split('|')
        .map(|cell| match cell.trim() {
            "NULL" => cell.replace("NULL", &style.dim("NULL")),
            _ => cell.to_string(),
        })
        .collect();
    cells.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| cell.to_string()).collect()
    }

    #[test]
    fn plain_columns() {
        let rows = [row(&["1", "ordérs", "日本"]), row(&["20000", "a\tb", ""])];
        assert_eq!(
            plain(&["PID", "NAME", "WHERE"], &rows, Style::Plain),
            "PID    NAME    WHERE\n1      ordérs  日本\n20000  a\\tb\n"
        );
    }

    #[test]
    fn a_result_of_a_query() {
        let header = row(&["action", "n"]);
        let rows = vec![
            vec![SqlCell::Text("sold".into()), SqlCell::Number("3".into())],
            vec![SqlCell::Null, SqlCell::Number("12345".into())],
            vec![SqlCell::Text("NULL".into()), SqlCell::Null],
            vec![
                SqlCell::Text("a\nb\x1b".into()),
                SqlCell::Number("-1".into()),
            ],
        ];
        let expected = [
            " action     | n",
            "------------+-------",
            " sold       |     3",
            " NULL       | 12345",
            " \"NULL\"     | NULL",
            " a\\nb\\u{1b} |    -1",
            "",
        ];
        let shown = sql(&header, rows, Style::Plain);
        assert_eq!(shown, expected.join("\n"));
    }

    #[test]
    fn null_is_dim_where_there_is_colour() {
        let rows = vec![vec![SqlCell::Null, SqlCell::Text("NULL x".into())]];
        let shown = sql(&row(&["a", "b"]), rows, Style::Coloured);
        assert!(shown.contains("\x1b[2mNULL\x1b[0m |"), "{shown:?}");
        assert!(shown.contains("| NULL x"), "{shown:?}");
    }
}
