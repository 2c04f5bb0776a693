# @summary A name that is also a safe file name.
type Corral::Name = Pattern[/\A[A-Za-z0-9][A-Za-z0-9._+-]{0,200}\z/]
