<?php
// Writes a mail with PHPMailer and sends it. All it needs comes by environment.
// PHPMailer takes no mail that is ready: it composes one of the HTML in the file.
foreach (['Exception', 'PHPMailer', 'SMTP'] as $class) {
    require getenv('PHPMAILER') . "/$class.php";
}

$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->isSMTP();
$mail->Host = 'localhost';
$mail->Port = (int) getenv('PORT');
$mail->SMTPAutoTLS = false;
if (getenv('CA')) {
    $mail->SMTPSecure = PHPMailer\PHPMailer\PHPMailer::ENCRYPTION_STARTTLS;
    $mail->SMTPOptions = ['ssl' => ['cafile' => getenv('CA')]];
}
if (getenv('USER_NAME')) {
    $mail->SMTPAuth = true;
    $mail->Username = getenv('USER_NAME');
    $mail->Password = getenv('PASSWORD');
}
$mail->CharSet = 'utf-8';
$mail->setFrom(getenv('SENDER'));
foreach (explode(',', getenv('RECIPIENTS')) as $recipient) {
    $mail->addAddress($recipient);
}
$mail->Subject = 'x';
$mail->msgHTML(file_get_contents(getenv('HTML')));
$mail->send();
