//! Rows for people: under headings, each column as wide as its widest cell. Pure.

use serde_json::Value;

/// A column: its heading, and what stands in it.
pub(super) type Column = (&'static str, fn(&Value) -> String);

/// The headings and the rows, a line each.
pub(super) fn table(columns: &[Column], rows: &[Value]) -> Vec<String> {
    let heading = columns.iter().map(|(heading, _)| (*heading).to_owned());
    let cells = |row: &Value| columns.iter().map(|(_, cell)| cell(row)).collect();
    let mut lines: Vec<Vec<String>> = vec![heading.collect()];
    lines.extend(rows.iter().map(cells));
    let mut widths = vec![0; columns.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let padded = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths);
        let cells = cells.map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(padded).collect()
}

/// One row without headings, for lines that come one by one.
pub(super) fn line(columns: &[Column], row: &Value) -> String {
    let cells: Vec<String> = columns.iter().map(|(_, cell)| cell(row)).collect();
    cells.join("  ")
}

/// A field as it is; a dash where there is nothing.
pub(super) fn field(row: &Value, name: &str) -> String {
    match row.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_stand_under_their_headings() {
        let columns: [Column; 3] = [
            ("ID", |row| field(row, "id")),
            ("SEQ", |row| field(row, "seq")),
            ("ERROR", |row| field(row, "error")),
        ];
        let rows = [
            json!({"id": "rep_é", "seq": 12, "error": "no: é"}),
            json!({"id": "rep_22", "seq": null}),
        ];
        assert_eq!(
            table(&columns, &rows),
            ["ID      SEQ  ERROR", "rep_é   12   no: é", "rep_22  -    -"]
        );
    }
}
