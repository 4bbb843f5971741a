const {Client}=require('pg');(async()=>{const c=new Client({host:'127.0.0.1',port:+process.argv[2],user:'ann',database:'warehouse'});await c.connect();
console.log(JSON.stringify((await c.query('SELECT id, amount, name, gone FROM churn WHERE id = $1',[3])).rows));
try{await c.query('SELECT missing FROM churn')}catch(e){console.log(e.code,e.position)};
console.log((await c.query({name:'p',text:'SELECT count(*) AS n FROM churn'})).rows[0].n);await c.end()})().catch(e=>{console.error(e);process.exit(1)});
