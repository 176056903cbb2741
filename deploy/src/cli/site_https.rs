//! `verge sites https`.

use std::str::FromStr;

use clap::Args;
use verge_protocol::SiteName;
use verge_protocol::https::{Hsts, SiteHttps};

/// `verge sites https`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct SiteHttpsArgs {
    /// The site's name
    pub site: SiteName,
    /// Redirect readers to https where there is a certificate, as sites do by default
    #[arg(long, conflicts_with = "optional")]
    required: bool,
    /// Answer readers without TLS too
    #[arg(long)]
    optional: bool,
    /// Have browsers use TLS only for this long after each visit (HSTS): 1h, 30d or 52w; `off` says nothing to browsers, `forget` ends what
    /// they have been told
    #[arg(long, value_name = "TIME")]
    hsts: Option<HstsAge>,
    /// HSTS for all hosts below the site's too
    #[arg(long, requires = "hsts")]
    include_subdomains: bool,
    /// Let browsers be shipped with it; it must have been in force for 30 days
    #[arg(long, requires = "hsts")]
    preload: bool,
}

/// How long browsers keep HSTS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HstsAge {
    Off,
    Seconds(u64),
}

/// A text that is no such time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a number with a unit, such as 1h, 30d or 52w, or `off` or `forget`")]
struct HstsAgeError;

impl FromStr for HstsAge {
    type Err = HstsAgeError;

    fn from_str(text: &str) -> Result<Self, HstsAgeError> {
        match text {
            "off" => return Ok(Self::Off),
            "forget" => return Ok(Self::Seconds(0)),
            _ => {}
        }
        let units = [('m', 60), ('h', 3600), ('d', 86_400), ('w', 7 * 86_400)];
        let split = units.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
        let (number, seconds) = split.ok_or(HstsAgeError)?;
        let number: u64 = number.parse().map_err(|_| HstsAgeError)?;
        number.checked_mul(seconds).filter(|seconds| *seconds > 0).map(Self::Seconds).ok_or(HstsAgeError)
    }
}

impl SiteHttpsArgs {
    /// The settings that are asked for, of a site that has these now.
    pub fn apply_to(&self, current: &SiteHttps) -> SiteHttps {
        let optional = self.optional || current.optional && !self.required;
        let hsts = match self.hsts {
            None => current.hsts,
            Some(HstsAge::Off) => None,
            Some(HstsAge::Seconds(max_age_seconds)) => {
                Some(Hsts { max_age_seconds, include_subdomains: self.include_subdomains, preload: self.preload })
            }
        };
        SiteHttps { optional, hsts }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: SiteHttpsArgs,
    }

    fn applied(args: &[&str], current: &SiteHttps) -> Result<SiteHttps, String> {
        let args = ["https", "demo"].iter().chain(args);
        let command = Command::try_parse_from(args).map_err(|error| error.to_string())?;
        Ok(command.args.apply_to(current))
    }

    #[test]
    fn options_change_what_they_name() {
        let none = SiteHttps::default();
        assert_eq!(applied(&[], &none), Ok(none.clone()));
        let optional = applied(&["--optional"], &none).unwrap();
        assert!(optional.optional && applied(&[], &optional).unwrap().optional);
        assert_eq!(applied(&["--required"], &optional), Ok(none.clone()));
        let month = applied(&["--hsts", "30d", "--include-subdomains"], &none).unwrap();
        assert_eq!(month.hsts.unwrap().to_string(), "max-age=2592000; includeSubDomains");
        assert_eq!(applied(&["--required"], &month), Ok(month.clone()));
        assert_eq!(applied(&["--hsts", "52w"], &month).unwrap().hsts.unwrap().to_string(), "max-age=31449600");
        assert_eq!(applied(&["--hsts", "forget"], &month).unwrap().hsts.unwrap().max_age_seconds, 0);
        assert_eq!(applied(&["--hsts", "off"], &month), Ok(none.clone()));
        for bad in
            [&["--hsts", "1"][..], &["--hsts", "0d"], &["--hsts", "-1d"], &["--preload"], &["--optional", "--required"]]
        {
            assert!(applied(bad, &none).is_err(), "{bad:?}");
        }
    }
}
