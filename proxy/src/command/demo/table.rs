//! A scene's table: a line per measure, a column per side.

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::sandbox::scene::{SceneReport, SceneVerdict, Via};

/// Returns the table of a scene that was played once per report.
pub(super) fn table(reports: &[SceneReport]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    let side = |report: &SceneReport| if report.via == Via::Direct { "without seqgate" } else { "with seqgate" };
    table.set_header(std::iter::once("").chain(reports.iter().map(side)));
    for (measure, value) in MEASURES {
        let mut row = vec![Cell::new(measure)];
        row.extend(reports.iter().map(|report| Cell::new(value(report)).set_alignment(CellAlignment::Right)));
        table.add_row(row);
    }
    table
}

/// A line of a table: what it is, and its value.
type Measure = (&'static str, fn(&SceneReport) -> String);

const MEASURES: [Measure; 8] = [
    ("records sent", |report| report.sent.to_string()),
    ("records acknowledged", |report| report.acknowledged.to_string()),
    ("batches sent again", |report| report.retried.to_string()),
    ("batches answered by seqgate", |report| of_proxy(report, report.answered_by_proxy)),
    ("duplicates that reached the broker", |report| report.duplicates_at_broker.to_string()),
    ("gaps flagged", |report| of_proxy(report, report.gaps_flagged)),
    ("records in the log", |report| report.in_log.to_string()),
    ("verdict", verdict),
];

fn of_proxy(report: &SceneReport, number: u64) -> String {
    if report.via == Via::Direct { "-".to_owned() } else { number.to_string() }
}

fn verdict(report: &SceneReport) -> String {
    match report.verdict() {
        SceneVerdict::Lost(records) => format!("{records} lost"),
        SceneVerdict::Doubled(records) => format!("{records} doubled"),
        SceneVerdict::Unacknowledged(records) => format!("{records} stored, not acknowledged"),
        SceneVerdict::Unflagged(gaps) => format!("{gaps} gaps missed"),
        SceneVerdict::Once => "each stored once".to_owned(),
    }
}
