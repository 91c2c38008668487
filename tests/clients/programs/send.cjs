// Sends a mail as it stands in a file, with nodemailer. All it needs comes by environment.
const fs = require("fs");
const nodemailer = require("nodemailer");

const { PORT, MAIL, SENDER, RECIPIENTS, USER_NAME, PASSWORD, CA } = process.env;
const secure = CA ? { requireTLS: true, tls: { ca: fs.readFileSync(CA) } } : { ignoreTLS: true };
const auth = USER_NAME ? { auth: { user: USER_NAME, pass: PASSWORD } } : {};
const transport = nodemailer.createTransport({
  host: "localhost",
  port: Number(PORT),
  ...secure,
  ...auth,
});
const envelope = { from: SENDER, to: RECIPIENTS.split(",") };
transport
  .sendMail({ envelope, raw: fs.readFileSync(MAIL) })
  .then((sent) => console.log(sent.response), (error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
