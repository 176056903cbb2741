//! Tables.

use comfy_table::{Attribute, Cell, ContentArrangement, Table};

use super::Output;

/// A table without lines: a head, and columns two spaces apart. Where the width is known it is kept to, else nothing is cut.
pub fn table(output: &Output, head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    if output.manner().color_results {
        table.force_no_tty().enforce_styling();
    } else {
        table.force_no_tty();
    }
    match output.manner().width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table.set_header(head.iter().map(|title| Cell::new(title).add_attribute(Attribute::Dim)));
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}
