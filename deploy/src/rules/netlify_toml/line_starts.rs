//! The lines of a text.

/// Where the lines of a text begin, so that finding the line of a place does not take longer the longer the text is.
pub(super) struct LineStarts(Vec<usize>);

impl LineStarts {
    pub(super) fn of(text: &str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(after_breaks).collect())
    }

    /// The line of a place in the text, in bytes, from 1. A place beyond the end is in the last one.
    pub(super) fn line_of(&self, at: usize) -> usize {
        self.0.partition_point(|start| *start <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_a_place_is_found() {
        let lines = LineStarts::of("a\n\nbé\n");
        for (at, line) in [(0, 1), (1, 1), (2, 2), (3, 3), (6, 3), (7, 4), (99, 4)] {
            assert_eq!(lines.line_of(at), line, "{at}");
        }
        assert_eq!(LineStarts::of("").line_of(0), 1);
    }
}
