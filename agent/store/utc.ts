/**
 * Makes UTC the local time of this thread, whatever the time zone of the process: SQLite's 'localtime' and 'utc'
 * modifiers ask these methods. (`TZ` cannot be set for one thread.)
 */
export function useUtc(): void {
  const date = Date.prototype;
  date.getFullYear = date.getUTCFullYear;
  date.getMonth = date.getUTCMonth;
  date.getDate = date.getUTCDate;
  date.getDay = date.getUTCDay;
  date.getHours = date.getUTCHours;
  date.getMinutes = date.getUTCMinutes;
  date.getSeconds = date.getUTCSeconds;
  date.getTimezoneOffset = () => 0;
}
