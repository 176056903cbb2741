//! Tables.

use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table, Width};

use super::printer::Output;

/// Spaces between two columns.
const GAP: u16 = 2;

/// A table without borders: a header, and columns two spaces apart. If the terminal's width is known, cells wrap between
/// words to fit it. Words are never split, since addresses and names are copied from the table: if the widest words do not fit, rows
/// are left for the terminal to wrap.
pub fn table(output: &Output, header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    if output.options().color_results {
        table.force_no_tty().enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_content_arrangement(ContentArrangement::Disabled);
    let widths = output.options().width.and_then(|width| widths(header, &rows, width));
    table.set_header(header.iter().map(|title| Cell::new(title).add_attribute(Attribute::Dim)));
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    for (column, width) in table.column_iter_mut().zip(widths.into_iter().flatten()) {
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width + GAP)));
    }
    table.trim_fmt()
}

/// The width of each column in a table of at most `max` columns: at least its widest word; the rest is shared by the columns whose
/// cells still wrap. `None` if not even the words fit.
fn widths(header: &[&str], rows: &[Vec<String>], max: u16) -> Option<Vec<u16>> {
    let widest = |column: usize, parts: fn(&str) -> Vec<&str>| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(String::as_str).chain([header[column]]);
        let widths = cells.flat_map(parts).map(console::measure_text_width);
        // Wider than any terminal.
        u16::try_from(widths.max().unwrap_or_default()).unwrap_or(u16::MAX - GAP)
    };
    let each = |parts| (0..header.len()).map(|column| widest(column, parts)).collect::<Vec<u16>>();
    let (mut widths, whole) = (each(|cell| cell.split([' ', '\n']).collect()), each(|cell| cell.lines().collect()));
    let taken = widths.iter().map(|width| width + GAP).fold(0, u16::saturating_add);
    // The gap after the last column is trimmed.
    let mut left = max.checked_sub(taken.saturating_sub(GAP))?;
    while left > 0 && widths != whole {
        for (width, whole) in widths.iter_mut().zip(&whole) {
            let more = u16::from(*width < *whole).min(left);
            *width += more;
            left -= more;
        }
    }
    Some(widths)
}

#[cfg(test)]
mod tests {
    use super::super::printer::OutputOptions;
    use super::*;

    const HEADER: [&str; 4] = ["edge", "state", "addresses", "regions"];

    fn shown(width: u16, cells: [&str; 4]) -> String {
        let output = Output::new(
            std::io::sink(),
            std::io::sink(),
            OutputOptions { width: Some(width), ..OutputOptions::default() },
        );
        table(
            &output,
            &HEADER,
            vec![cells.map(str::to_owned).into(), ["a", "live", "", "eu"].map(str::to_owned).into()],
        )
    }

    fn wide() -> [&'static str; 4] {
        let lags = "lags on live of documentation: fetching the manifest of release v12";
        ["frankfurt-am-main-1", lags, "127.0.9.11:8080\n[2001:db8:1:2:3:4:5:6]:8080", "de eu dach"]
    }

    #[test]
    fn cell_wider_than_its_column_wraps_between_words() {
        insta::assert_snapshot!(shown(80, wide()));
    }

    #[test]
    fn words_are_never_split_and_width_is_kept_if_words_fit() {
        let words = wide().join(" ");
        // Frankfurt's name, its address and the longest words of the others, two columns apart.
        let least = 19 + 2 + 14 + 2 + 27 + 2 + 7;
        for width in 0..200 {
            let text = shown(width, wide());
            let lines: Vec<&str> = text.lines().collect();
            for word in words.split_whitespace() {
                assert!(text.split_whitespace().any(|shown| shown == word), "{word} at {width}:\n{text}");
            }
            if width >= least {
                assert!(lines.iter().all(|line| line.len() <= usize::from(width)), "{width}:\n{text}");
            } else {
                assert_eq!(lines.len(), 4, "the terminal wraps it: {width}:\n{text}");
            }
        }
    }

    #[test]
    fn table_that_fits_is_not_wrapped() {
        let text = shown(80, ["fra-1", "live", "192.0.2.1", "de eu"]);
        assert_eq!(
            text,
            "edge   state  addresses  regions\nfra-1  live   192.0.2.1  de eu\na      live              eu"
        );
    }
}
